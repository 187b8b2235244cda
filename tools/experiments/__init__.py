"""The paper's experiments: which there are, running them, reporting them."""
