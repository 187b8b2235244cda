// The list of videos: filters, sorting, and only the rows that are in view.
// All text goes in as text, never as HTML.
'use strict';

(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId('report-data').textContent);
  const models = data.models;
  const two = models.length > 1;
  const count = data.names.length;
  const TOP = 5;
  const MARGIN = 3; // rows kept ready above and below the view
  const number = new Intl.NumberFormat('en');

  const lowerNames = data.names.map((name) => name.toLowerCase());
  const right = models.map((model) =>
    model.winners.map((winner, v) => winner === data.labels[v]));
  const lowest = data.names.map((_, v) =>
    Math.min(...models.map((model) => model.agreement[v])));

  function make(tag, kind, ...content) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...content);
    return element;
  }

  // Filters and order

  const controls = ['search', 'show', 'label', 'voted', 'agreement', 'sort',
    'descending'];
  const defaults = {agreement: '100'};

  function read(id) {
    const control = byId(id);
    if (control.type === 'checkbox') return control.checked ? '1' : '';
    return control.value;
  }

  function write(id, value) {
    const control = byId(id);
    if (control.type === 'checkbox') control.checked = value === '1';
    else control.value = value;
    // A link of another report may name what there is not.
    if (control.selectedIndex === -1) control.value = '';
  }

  const shows = {
    'right': (v) => right.every((model) => model[v]),
    'wrong': (v) => right.every((model) => !model[v]),
    'changed': (v) => models[0].winners[v] !== models[1].winners[v],
    'gained': (v) => !right[0][v] && right[1][v],
    'lost': (v) => right[0][v] && !right[1][v],
    'a-wrong': (v) => !right[0][v],
    'b-wrong': (v) => !right[1][v],
  };

  const keys = {
    'label': (v) => data.labels[v],
    'clips': (v) => models[0].votes[v].length,
    'agreement': (v) => lowest[v],
    'truth': (v) => Math.min(...models.map((model) => model.truth[v])),
    'truth-change': (v) => models[1].truth[v] - models[0].truth[v],
    'agreement-change': (v) =>
      models[1].agreement[v] - models[0].agreement[v],
  };

  function select() {
    const words = read('search').toLowerCase().split(/\s+/).filter(Boolean);
    const show = shows[read('show')];
    const label = read('label');
    const voted = read('voted');
    const most = Number(read('agreement')) / 100;
    const found = [];
    for (let v = 0; v < count; v++) {
      if (!words.every((word) => lowerNames[v].includes(word))) continue;
      if (show && !show(v)) continue;
      if (label && data.labels[v] !== Number(label)) continue;
      if (voted &&
          !models.some((model) => model.winners[v] === Number(voted))) continue;
      if (lowest[v] > most) continue;
      found.push(v);
    }
    const sort = read('sort');
    const sign = read('descending') ? -1 : 1;
    if (sort === 'name') {
      const collator = new Intl.Collator('en', {numeric: true});
      found.sort((v, w) =>
        sign * collator.compare(data.names[v], data.names[w]) || v - w);
    } else if (keys[sort]) {
      const key = keys[sort];
      found.sort((v, w) => sign * (key(v) - key(w)) || v - w);
    } else if (sign < 0) {
      found.reverse();
    }
    return found;
  }

  // Rows

  const badge = (k) => (two ? [make('b', `badge ${'ab'[k]}`, 'AB'[k]), ' '] : []);
  const percent = (share) => `${Math.round(100 * share)} %`;
  const folderEnd = (name) =>
    Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1;
  // The folder that all videos share is not worth the room.
  const common = data.names.reduce((folder, name) => {
    while (!name.startsWith(folder)) {
      folder = folder.slice(0, folderEnd(folder.slice(0, -1)));
    }
    return folder;
  }, data.names[0].slice(0, folderEnd(data.names[0])));

  function bars(rows, most, hint) {
    const list = make('ul', 'bars');
    for (const row of rows) {
      const name = make('span', 'name', row.name);
      name.title = row.name;
      if (row.truth) name.append(make('span', 'hidden', ' (ground truth)'));
      const bar = make('span', 'bar');
      bar.style.setProperty('--share', row.value / most);
      list.append(make('li', row.truth ? 'truth' : '', name,
        make('span', 'track', bar, make('span', 'number', row.text))));
    }
    if (hint) list.append(make('li', 'hint', hint));
    return list;
  }

  function voteBars(model, v) {
    const counts = new Map();
    for (const k of model.votes[v]) counts.set(k, (counts.get(k) || 0) + 1);
    const first = (k) => (k === model.winners[v] ? 0 : 1);
    const order = [...counts.keys()].sort((j, k) =>
      counts.get(k) - counts.get(j) || first(j) - first(k) || j - k);
    const shown = order.slice(0, TOP);
    const label = data.labels[v];
    // As in Fig. 7: the ground truth is among the five if it got a vote.
    if (counts.has(label) && !shown.includes(label)) shown[TOP - 1] = label;
    const total = model.votes[v].length;
    let rest = total;
    const rows = shown.map((k) => {
      rest -= counts.get(k);
      return {name: data.classes[k], value: counts.get(k),
        text: String(counts.get(k)), truth: k === label};
    });
    const others = order.length - shown.length;
    return bars(rows, total, others
      ? `${rest} for ${others} other class${others > 1 ? 'es' : ''}` : '');
  }

  function meanBars(model, v) {
    return bars(model.top[v].map((k, place) => ({
      name: data.classes[k],
      value: model.top_means[v][place],
      text: model.top_means[v][place].toFixed(2),
      truth: k === data.labels[v],
    })), 1, '');
  }

  function verdict(k, v) {
    const model = models[k];
    const good = right[k][v];
    const total = model.votes[v].length;
    const own = model.votes[v].filter((x) => x === model.winners[v]).length;
    return make('span', `verdict ${good ? 'right' : 'wrong'}`, ...badge(k),
      `${good ? '✓' : '✗'} ${data.classes[model.winners[v]]} `,
      make('small', '', `${own} of ${total}`),
      make('span', 'hidden', good ? ' right' : ' wrong'));
  }

  // What the views of a clip vote for, in words.
  function caption(k, v, clip, label) {
    const model = models[k];
    const views = model.views[v];
    const votes = model.votes[v].slice(clip * views, (clip + 1) * views);
    const sure = model.sure[v].slice(clip * views, (clip + 1) * views);
    const hits = votes.filter((x) => x === label).length;
    const good = hits === votes.length;
    let text = good ? data.classes[label] : data.classes[votes[0]];
    if (views > 1) text = `${hits} of ${views} right`;
    const element = make('span',
      `vote ${hits === 0 ? 'wrong' : good ? 'right' : 'mixed'}`,
      make('span', 'mark', good ? '✓' : hits ? '~' : '✗'), ` ${text}`);
    element.title = votes.map((x, n) =>
      `${two ? 'AB'[k] + ': ' : ''}${data.classes[x]} ${sure[n]} %`).join('\n');
    const share = hits / votes.length;
    return {element, share};
  }

  // One frame a clip; `which` models vote above and below it.
  function strip(which, v) {
    const model = models[which[0]];
    const clips = Math.ceil(model.votes[v].length / model.views[v]);
    const list = make('ol', 'strip');
    list.tabIndex = 0;
    list.setAttribute('aria-label', `${two && which.length === 1
      ? 'AB'[which[0]] + ': ' : ''}votes of ${clips} clips`);
    list.style.setProperty('--aspect', data.aspects[v]);
    const columns = data.columns[v];
    const rows = data.rows[v];
    for (let clip = 0; clip < clips; clip++) {
      const captions = which.map((k) => caption(k, v, clip, data.labels[v]));
      const picture = make('span', 'picture');
      const frame = model.frames[v][clip];
      if (data.thumbs[v] && frame !== undefined) {
        const place = model.places[v][clip];
        const column = place % columns;
        const row = Math.floor(place / columns);
        picture.style.backgroundImage = `url("thumbs/${data.thumbs[v]}")`;
        picture.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
        picture.style.backgroundPosition =
          `${columns > 1 ? 100 * column / (columns - 1) : 0}% ` +
          `${rows > 1 ? 100 * row / (rows - 1) : 0}%`;
        picture.setAttribute('role', 'img');
        picture.setAttribute('aria-label', `frame ${frame}`);
      } else {
        picture.classList.add('missing');
      }
      if (frame !== undefined) picture.title = `frame ${frame}`;
      // The frame round it: the upper half tells of A, the lower of B.
      const tones = captions.map(({share}) =>
        share === 1 ? 'var(--right)' : share ? 'var(--mixed)' : 'var(--wrong)');
      const edge = make('span', 'edge', picture);
      edge.style.background = tones.length > 1
        ? `linear-gradient(${tones[0]} 50%, ${tones[1]} 50%)` : tones[0];
      const [above, below] = captions;
      list.append(below
        ? make('li', '', above.element, edge, below.element)
        : make('li', '', edge, above.element));
    }
    return list;
  }

  // Clips of the two models are one below the other if they are the same.
  function aligned(v) {
    const [a, b] = models;
    return a.votes[v].length === b.votes[v].length &&
      a.views[v] === b.views[v] &&
      a.frames[v].length === b.frames[v].length &&
      a.frames[v].every((frame, clip) => frame === b.frames[v][clip]);
  }

  function strips(v) {
    if (!two) return [strip([0], v)];
    if (aligned(v)) {
      const sides = make('span', 'sides');
      sides.setAttribute('aria-hidden', 'true');
      sides.append(...badge(0).slice(0, 1), ...badge(1).slice(0, 1));
      return [make('div', 'pair both', sides, strip([0, 1], v))];
    }
    return [0, 1].map((k) => {
      const sides = make('span', 'sides', ...badge(k).slice(0, 1));
      sides.setAttribute('aria-hidden', 'true');
      return make('div', 'pair', sides, strip([k], v));
    });
  }

  function makeRow(v, place, total) {
    const name = data.names[v] || `video ${v}`;
    const end = folderEnd(name);
    const title = make('h3', 'path');
    if (end > common.length) {
      title.append(make('span', 'folder', name.slice(common.length, end)));
    }
    title.append(make('span', 'file', name.slice(end)));
    title.id = `video-${v}`;
    title.title = name;
    const clips = models.map((model) => model.votes[v].length);
    const unit = (n) => `${n} ${models[0].views[v] > 1 ? 'view' : 'clip'}${
      n > 1 ? 's' : ''}`;
    const truth = make('span', 'truth', data.classes[data.labels[v]]);
    truth.title = 'ground truth';
    const facts = make('p', 'facts', truth, ' · ',
      two && clips[0] !== clips[1]
        ? `${clips[0]} and ${unit(clips[1])}` : unit(clips[0]));
    const charts = make('div', 'charts');
    models.forEach((model, k) => {
      const votes = make('div', 'chart',
        make('h4', '', ...badge(k), 'Votes'), voteBars(model, v));
      const means = make('div', 'chart',
        make('h4', '', ...badge(k), 'Mean probability'), meanBars(model, v));
      charts.append(votes, means);
    });
    const row = make('article', 'video',
      make('div', 'head', title, facts,
        make('p', 'verdicts', ...models.map((_, k) => verdict(k, v)))),
      ...strips(v), charts);
    row.tabIndex = 0;
    row.setAttribute('aria-labelledby', title.id);
    row.setAttribute('aria-posinset', place + 1);
    row.setAttribute('aria-setsize', total);
    return row;
  }

  // The rows in view

  const list = byId('list');
  const probe = make('div', 'probe');
  list.append(probe);
  const rows = new Map(); // by place in `shown`
  let shown = [];
  let step = 1;
  let focused = -1;
  let waiting = false;

  function place(element, at) {
    element.style.transform = `translateY(${at * step}px)`;
  }

  function draw() {
    waiting = false;
    const top = -list.getBoundingClientRect().top;
    let first = Math.max(0, Math.floor(top / step));
    let last = Math.min(shown.length - 1,
      Math.floor((top + window.innerHeight) / step));
    // After a jump what is in view comes first, the rest in the next frame.
    const jumped = ![...rows.keys()].some((at) => at >= first && at <= last);
    if (jumped && first <= last) later();
    if (!jumped) {
      first = Math.max(0, first - MARGIN);
      last = Math.min(shown.length - 1, last + MARGIN);
    }
    for (const [at, element] of rows) {
      // A row that has the focus stays, or the focus would be lost.
      if ((at < first || at > last) && at !== focused) {
        element.remove();
        rows.delete(at);
      }
    }
    let next = null; // in the order of the list, for screen readers
    const places = [...rows.keys()].sort((x, y) => y - x);
    for (let at = last; at >= first; at--) {
      while (places.length && places[0] > at) next = rows.get(places.shift());
      if (rows.has(at)) continue;
      const element = makeRow(shown[at], at, shown.length);
      place(element, at);
      rows.set(at, element);
      list.insertBefore(element, next);
      next = element;
    }
  }

  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(draw);
  }

  function clear() {
    for (const element of rows.values()) element.remove();
    rows.clear();
  }

  function measure() {
    const height = probe.offsetHeight;
    if (!height || height === step) return;
    // The row on top stays on top.
    const top = -list.getBoundingClientRect().top;
    const kept = top > 0 ? top / step : -1;
    step = height;
    list.style.height = `${shown.length * step}px`;
    for (const [at, element] of rows) place(element, at);
    if (kept >= 0) window.scrollBy(0, kept * step -
      -list.getBoundingClientRect().top);
    later();
  }

  function update() {
    shown = select();
    focused = -1;
    clear();
    list.style.height = `${shown.length * step}px`;
    byId('none').hidden = shown.length > 0;
    byId('count').textContent = shown.length === count
      ? `${number.format(count)} video${count > 1 ? 's' : ''}`
      : `${number.format(shown.length)} of ${number.format(count)}`;
    byId('agreement-value').textContent = `${read('agreement')} %`;
    let active = 0;
    for (const id of controls) {
      if (id !== 'search' && read(id) !== (defaults[id] || '')) active++;
    }
    byId('more').textContent = active ? `Filters (${active})` : 'Filters';
    draw();
  }

  // The filters are in the address, so that a view can be kept and sent.
  function remember() {
    const query = new URLSearchParams();
    for (const id of controls) {
      if (read(id) !== (defaults[id] || '')) query.set(id, read(id));
    }
    const text = query.toString();
    history.replaceState(null, '', text ? `#${text}` : '#videos');
  }

  function recall() {
    const query = new URLSearchParams(location.hash.slice(1));
    if (!controls.some((id) => query.has(id))) return false;
    for (const id of controls) {
      write(id, query.get(id) || defaults[id] || '');
    }
    return true;
  }

  function reset(values) {
    for (const id of controls) write(id, defaults[id] || '');
    for (const [id, value] of Object.entries(values)) write(id, value);
    remember();
    update();
  }

  function toList() {
    byId('videos').scrollIntoView();
  }

  for (const id of ['label', 'voted']) {
    data.classes.forEach((name, k) => {
      const option = make('option', '', name);
      option.value = String(k);
      byId(id).append(option);
    });
  }

  const form = byId('filters');
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', () => {
    remember();
    // From the start of another list, rather than somewhere in it.
    if (-list.getBoundingClientRect().top > 0) toList();
    update();
  });
  byId('reset').addEventListener('click', () => reset({}));
  const more = byId('more');
  function fold(open) {
    more.setAttribute('aria-expanded', String(open));
    byId('controls').hidden = !open;
  }
  more.addEventListener('click', () =>
    fold(more.getAttribute('aria-expanded') !== 'true'));
  const narrow = window.matchMedia('(max-width: 48rem)');
  fold(!narrow.matches);
  narrow.addEventListener('change', () => fold(!narrow.matches));

  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-show], [data-label]');
    if (!button) return;
    const {show, label, voted} = button.dataset;
    reset({show: show || '', label: label || '', voted: voted || ''});
    toList();
    draw();
    rows.get(0)?.focus({preventScroll: true});
  });

  // Keys within the list

  function go(at) {
    if (at < 0 || at >= shown.length) return;
    const sticky = form.offsetHeight;
    focused = at;
    window.scrollTo(0, window.scrollY + list.getBoundingClientRect().top +
      at * step - sticky - 8);
    draw();
    rows.get(at)?.focus({preventScroll: true});
  }

  list.addEventListener('focusin', (event) => {
    const row = event.target.closest('article');
    focused = row ? Number(row.getAttribute('aria-posinset')) - 1 : -1;
  });
  list.addEventListener('focusout', () => {
    focused = -1;
  });
  list.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || focused < 0) return;
    const steps = {j: 1, PageDown: 1, k: -1, PageUp: -1};
    const along = {ArrowLeft: -1, ArrowRight: 1};
    if (event.key in steps) go(focused + steps[event.key]);
    else if (event.key === 'Home') go(0);
    else if (event.key === 'End') go(shown.length - 1);
    else if (event.key in along && event.target.matches('article')) {
      const clips = event.target.querySelectorAll('.strip');
      clips.forEach((x) => x.scrollBy({left: along[event.key] * 200}));
    } else return;
    event.preventDefault();
  });

  // Tables

  const table = byId('class-table');
  table.tHead.addEventListener('click', (event) => {
    const head = event.target.closest('th');
    if (!head) return;
    const up = head.getAttribute('aria-sort') === 'ascending';
    for (const other of table.tHead.querySelectorAll('th')) {
      other.setAttribute('aria-sort', 'none');
    }
    head.setAttribute('aria-sort', up ? 'descending' : 'ascending');
    const value = (row) => Number(row.cells[head.cellIndex].dataset.value);
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((x, y) =>
      (up ? -1 : 1) * (value(x) - value(y))));
  });

  if (two && data.names.some((_, v) => !aligned(v))) {
    document.body.classList.add('unaligned');
  }
  window.addEventListener('scroll', later, {passive: true});
  window.addEventListener('resize', later);
  window.addEventListener('hashchange', () => {
    if (recall()) {
      update();
      toList();
    }
  });
  new ResizeObserver(measure).observe(probe);
  const recalled = recall();
  update();
  measure();
  if (recalled) toList();
})();
