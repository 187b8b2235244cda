"""What is opened as a video, and what is not."""

import http.server
import threading

import numpy as np
import pytest
from mmaction.registry import TRANSFORMS
from video_files import write_video

import vll_mmaction  # noqa: F401
from vll_mmaction.video_io.frame_source import read_frames
from vll_mmaction.video_io.video_probe import probe_video


@pytest.fixture
def server(tmp_path):
    """Address of a server, and the requests that it got."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{found.server_port}', requests
        found.shutdown()


LISTS = {
    'hls': '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{0}/a.ts\n',
    'concat': "ffconcat version 1.0\nfile '{0}/a.avi'\n",
    'dash': '<?xml version="1.0"?><MPD><BaseURL>{0}/</BaseURL></MPD>',
    'sdp': 'v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\n'
    'm=video 5000 RTP/AVP 96\n',
}


@pytest.mark.parametrize('kind', LISTS)
@pytest.mark.parametrize('ending', ['mp4', 'm3u8', 'avi'])
def test_lists_are_not_followed(tmp_path, server, kind, ending):
    address, requests = server
    path = tmp_path / f'list.{ending}'
    write_video(tmp_path / 'a.avi', 9)
    for where in (address, str(tmp_path)):
        path.write_text(LISTS[kind].format(where))
        assert 'cannot be opened' in probe_video(str(path)).reason
        with pytest.raises(ValueError, match='list.* cannot be opened'):
            list(read_frames(str(path), np.arange(3)))
    assert requests == []


def test_a_name_is_no_address(tmp_path, server, monkeypatch):
    address, requests = server
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / 'a.avi', 9)
    for name in ('http:x.avi', 'concat:a.avi|a.avi', 'a%d.avi'):
        (tmp_path / name).write_bytes((tmp_path / 'a.avi').read_bytes())
        assert probe_video(name).frames == 9
    with pytest.raises(ValueError, match='No such file'):
        list(read_frames(f'{address}/a.avi', np.arange(3)))
    assert requests == []


def test_a_path_without_an_ending(tmp_path):
    write_video(tmp_path / 'a.avi', 9)
    (tmp_path / 'a.avi').rename(tmp_path / 'a.mp4')
    path = str(tmp_path / 'a')
    assert 'a.mp4: write the ending' in probe_video(path).reason
    with pytest.raises(FileNotFoundError, match='a.mp4: write the ending'):
        TRANSFORMS.build(dict(type='VideoReaderInit'))(dict(filename=path))
