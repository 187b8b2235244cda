// The list of videos: filters, order, and as many rows as were scrolled to.
// All text goes in as text, never as HTML.
'use strict';

(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId('report-data').textContent);
  const models = data.models;
  const two = models.length > 1;
  const form = byId('filters');
  const list = byId('list');
  const end = byId('end');
  const TILE = [128, 96]; // of thumbnail_worker.py, as COLUMNS
  const COLUMNS = 20;
  const PART = 40; // rows made at a time

  function make(tag, kind, ...content) {
    const element = document.createElement(tag);
    element.className = kind;
    element.append(...content);
    return element;
  }

  const badge = (k) => (two ? [make('b', `badge ${'AB'[k]}`, 'AB'[k]), ' '] : []);
  const right = (k, v) => models[k].winners[v] === data.labels[v];

  // Filters and order

  const shows = {
    'right': (v) => models.every((_, k) => right(k, v)),
    'wrong': (v) => !models.some((_, k) => right(k, v)),
    'changed': (v) => models[0].winners[v] !== models[1].winners[v],
    'gained': (v) => !right(0, v) && right(1, v),
    'lost': (v) => right(0, v) && !right(1, v),
  };

  const lowest = (name, v) => Math.min(...models.map((x) => x[name][v]));
  const change = (name, v) => models[1][name][v] - models[0][name][v];
  const keys = {
    'clips': (v) => models[0].votes[v].length,
    'agreement': (v) => lowest('agreement', v),
    'truth': (v) => lowest('truth', v),
    'agreement-change': (v) => change('agreement', v),
    'truth-change': (v) => change('truth', v),
  };

  function select() {
    const {search, show, label, voted, sort, descending} =
      Object.fromEntries(new FormData(form));
    const words = search.toLowerCase().split(/\s+/);
    const found = [...data.names.keys()].filter((v) =>
      words.every((word) => data.names[v].toLowerCase().includes(word)) &&
      (!show || shows[show](v)) &&
      (!label || data.labels[v] === Number(label)) &&
      (!voted || models.some((x) => x.winners[v] === Number(voted))));
    const key = keys[sort];
    if (key) found.sort((v, w) => key(v) - key(w));
    return descending ? found.reverse() : found;
  }

  // One video

  // The classes with most votes: votes as a bar, votes and probability.
  function bars(k, v) {
    const model = models[k];
    return make('ul', 'bars', ...model.top[v].map((label, place) => {
      const hits = model.votes[v].filter((x) => x === label).length;
      const bar = make('span', 'bar');
      bar.style.width = `${40 * hits / model.votes[v].length}%`;
      return make('li', label === data.labels[v] ? 'truth' : '',
        make('span', 'name', data.classes[label]), bar,
        ` ${hits} · ${model.top_means[v][place].toFixed(2)}`);
    }));
  }

  function verdict(k, v) {
    const model = models[k];
    const [kind, mark] = right(k, v) ? ['right', '✓'] : ['wrong', '✗'];
    const hits = model.votes[v].filter((x) => x === model.winners[v]).length;
    return make('h4', kind, ...badge(k),
      `${mark} ${data.classes[model.winners[v]]}, `,
      `${hits} of ${model.votes[v].length} votes`);
  }

  // What the views of a clip vote for, and its weight by attention.
  function caption(k, v, clip) {
    const {views, votes, sure} = models[k];
    const own = [...Array(views[v]).keys()].map((x) => clip * views[v] + x);
    const label = data.labels[v];
    const hits = own.filter((x) => votes[v][x] === label).length;
    const [kind, mark] = hits === own.length ? ['right', '✓']
      : hits ? ['mixed', '~'] : ['wrong', '✗'];
    const element = make('span', `vote ${kind}`, mark, ' ', own.length > 1
      ? `${hits} of ${own.length} right` : data.classes[votes[v][own[0]]]);
    element.title = own.map((x) =>
      `${data.classes[votes[v][x]]} ${sure[v][x]} %`).join('\n');
    const weights = models[k].weights[v];
    if (weights) {
      // As wide as it is large beside the video's largest.
      const bar = make('span', 'weight');
      bar.style.width = `${100 * weights[clip] / Math.max(...weights)}%`;
      element.append(bar);
      element.title += `\nweight ${weights[clip].toFixed(3)}`;
    }
    return element;
  }

  function picture(k, v, clip) {
    const element = make('span', 'picture');
    const frame = models[k].frames[v][clip];
    if (frame !== undefined) element.title = `frame ${frame}`;
    if (data.thumbs[v]) {
      const place = models[k].places[v][clip];
      element.style.background = `url("thumbs/${data.thumbs[v]}")
        ${-TILE[0] * (place % COLUMNS)}px
        ${-TILE[1] * Math.floor(place / COLUMNS)}px`;
    }
    return element;
  }

  // One frame a clip; models `which` vote above and below it.
  function strip(which, v) {
    const clips = models[which[0]].votes[v].length / models[which[0]].views[v];
    const element = make('ol', 'strip');
    for (let clip = 0; clip < clips; clip++) {
      const captions = which.map((k) => caption(k, v, clip));
      captions.splice(1, 0, picture(which[0], v, clip));
      if (which.length === 1) captions.reverse();
      element.append(make('li', '', ...captions));
    }
    element.tabIndex = 0;
    element.setAttribute('aria-label', 'Votes of the clips');
    return make('div', 'strips',
      make('div', 'sides', ...which.flatMap((k) => badge(k).slice(0, 1))),
      element);
  }

  // Models that saw the same clips share a strip.
  function strips(v) {
    const [a, b] = models.map((x) => `${x.frames[v]}/${x.votes[v].length}`);
    return (a === b ? [[0, 1]] : [...models.keys()].map((k) => [k]))
      .map((which) => strip(which, v));
  }

  function makeRow(v) {
    const title = make('h3', '', data.names[v] || `video ${v}`);
    title.id = `video-${v}`;
    const row = make('article', '', title, ' ',
      make('span', 'truth', data.classes[data.labels[v]]), ...strips(v),
      make('div', 'charts', ...models.map((_, k) =>
        make('div', '', verdict(k, v), bars(k, v)))));
    row.tabIndex = 0;
    row.setAttribute('aria-labelledby', title.id);
    return row;
  }

  // The list

  let shown = [];

  function more() {
    const made = list.children.length;
    list.append(...shown.slice(made, made + PART).map(makeRow));
  }

  function update() {
    shown = select();
    list.replaceChildren();
    byId('count').textContent = `${shown.length} of ${data.names.length}`;
    end.textContent = shown.length ? '' : 'No video fits these filters.';
    more();
  }

  // The filters are in the address, so that a view can be kept and sent.
  function remember() {
    const set = [...new FormData(form)].filter(([, value]) => value);
    history.replaceState(null, '', `#${new URLSearchParams(set)}`);
  }

  function fill(values) {
    form.reset();
    for (const [name, value] of Object.entries(values)) {
      const control = form.elements[name];
      if (!control) continue;
      if (control.type === 'checkbox') control.checked = true;
      else control.value = value;
      // A link of another report may name what there is not.
      if (control.selectedIndex === -1) control.value = '';
    }
    update();
  }

  function recall() {
    fill(Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
    if (location.hash.includes('=')) form.scrollIntoView();
  }

  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', () => {
    remember();
    update();
  });
  window.addEventListener('hashchange', recall);
  new IntersectionObserver((seen) => {
    if (seen.some((x) => x.isIntersecting)) more();
  }, {rootMargin: '2000px'}).observe(end);

  document.addEventListener('click', (event) => {
    const button = event.target.closest('#clear, [data-show], [data-label]');
    if (!button) return;
    fill(button.dataset);
    remember();
    if (button.id === 'clear') return;
    form.scrollIntoView();
    list.firstChild?.focus({preventScroll: true});
  });

  list.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = event.target.closest('article');
    if (event.key === 'j') row.nextElementSibling?.focus();
    if (event.key === 'k') row.previousElementSibling?.focus();
  });

  // The table of classes

  const table = byId('class-table');
  table.tHead.addEventListener('click', (event) => {
    const head = event.target.closest('th');
    if (!head) return;
    const sign = head.ariaSort === 'descending' ? 1 : -1;
    for (const other of head.parentNode.cells) other.ariaSort = 'none';
    head.ariaSort = sign > 0 ? 'ascending' : 'descending';
    const value = ({cells}) => {
      const cell = cells[head.cellIndex];
      return Number(cell.dataset.value ?? cell.textContent);
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((x, y) => sign * (value(x) - value(y))));
  });

  recall();
})();
