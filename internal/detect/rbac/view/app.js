'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const $ = id => document.getElementById(id);
const make = (tag, cls, text) => { const e = document.createElement(tag); if (cls) e.className = cls; if (text !== undefined) e.textContent = text; return e; };
const ref = o => o.kind + '/' + (o.namespace ? o.namespace + '/' : '') + o.name;
const place = o => ref(o) + (o.path ? ' (' + o.path + ':' + o.line + ')' : '');
const scope = ns => ns ? 'in ' + ns : 'in the whole cluster';

// Tabs.
const tabs = ['paths', 'subjects', 'ask', 'findings'];
const boxes = {paths: 'find', subjects: 'filter', ask: 'resource', findings: 'search'};
let current = 'paths';
function show(name) {
  current = name;
  for (const t of tabs) { $(t).hidden = t !== name; $('tab-' + t).setAttribute('aria-selected', t === name); }
  if (name === 'subjects') fill();
  if (name === 'findings') cards();
}
for (const t of tabs) $('tab-' + t).onclick = () => { show(t); history.replaceState(null, '', '#' + t); };
$('theme').onclick = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = dark ? 'light' : 'dark';
};
addEventListener('keydown', e => {
  const typing = e.target.matches('input');
  if (e.key === 'Escape') { if (typing) { e.target.value = ''; e.target.dispatchEvent(new Event('input')); e.target.blur(); } choose(null); return; }
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === '/') { e.preventDefault(); $(boxes[current]).focus(); $(boxes[current]).select(); }
  if (e.key >= '1' && e.key <= '4') { show(tabs[e.key - 1]); }
  if (current === 'paths' && (e.key === '+' || e.key === '=')) zoom(1.25);
  if (current === 'paths' && e.key === '-') zoom(0.8);
  if (current === 'paths' && e.key === '0') fit();
});

// The drawing.
const svg = document.querySelector('.stage svg');
const full = {w: +svg.getAttribute('width'), h: +svg.getAttribute('height')};
let scale = 1;
function apply() { svg.setAttribute('width', full.w * scale); svg.setAttribute('height', full.h * scale); }
function zoom(f) { scale = Math.min(4, Math.max(0.08, scale * f)); apply(); }
function fit() { const s = $('stage'); scale = Math.min(1.2, Math.max(0.6, Math.min((s.clientWidth - 4) / full.w, (s.clientHeight - 4) / full.h))); apply(); }
$('in').onclick = () => zoom(1.25); $('out').onclick = () => zoom(0.8); $('fit').onclick = fit;
$('stage').addEventListener('wheel', e => { if (e.ctrlKey) { e.preventDefault(); zoom(e.deltaY < 0 ? 1.1 : 0.9); } }, {passive: false});
const groups = new Map([...svg.querySelectorAll('g')].map(g => [g.dataset.id, g]));
const lines = new Map([...svg.querySelectorAll('path')].map(p => [p.dataset.from, p]));
function choose(g) {
  for (const e of svg.querySelectorAll('.on')) e.classList.remove('on');
  if (!g) { $('steps').replaceChildren(make('p', 'muted', 'Select a position to see its steps and the objects that allow each.')); return; }
  const list = make('ol', 'steps');
  let title = '';
  for (let at = g; at; at = groups.get(at.dataset.next)) {
    at.classList.add('on');
    lines.get(at.dataset.id)?.classList.add('on');
    const [label, why, ...more] = at.querySelector('title').textContent.split('\n');
    if (at === g) title = label;
    if (!why) continue;
    const next = groups.get(at.dataset.next);
    const li = make('li', '', next.querySelector('title').textContent.split('\n')[0]);
    li.append(make('small', '', why));
    for (const m of more.filter(m => m.startsWith('  '))) li.append(make('small', '', m.trim()));
    list.append(li);
  }
  const members = g.querySelector('title').textContent.split('\n').slice(2).filter(m => !m.startsWith('  '));
  $('steps').replaceChildren(make('h2', '', title), list);
  if (members.length) { $('steps').append(make('h3', '', 'They are')); for (const m of members) $('steps').append(make('div', '', m)); }
}
for (const g of groups.values()) {
  g.onclick = () => choose(g);
  g.onkeydown = e => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); choose(g); } };
}
$('find').oninput = () => {
  const q = $('find').value.toLowerCase();
  let hits = 0, first = null;
  for (const g of groups.values()) {
    const hit = !q || g.querySelector('title').textContent.toLowerCase().includes(q);
    g.classList.toggle('dim', !hit);
    if (hit && q) { hits++; first ??= g; }
  }
  for (const p of lines.values()) p.classList.toggle('dim', !!q);
  $('found').textContent = q ? hits + ' found' : '';
  if (first) first.scrollIntoView({block: 'center', inline: 'center'});
};
$('find').onkeydown = e => { if (e.key === 'Enter') { const g = [...groups.values()].find(g => !g.classList.contains('dim')); if (g) { choose(g); g.focus(); } } };

// Subjects.
let visible = [], selected = -1;
const rendered = 500;
function text(s) { return (ref(s) + ' ' + s.powers.map(p => p.power).join(' ') + ' ' + s.bindings.map(b => ref(data.bindings[b]) + ' ' + ref(data.bindings[b].roleRef)).join(' ') + ' ' + (s.workloads || []).map(ref).join(' ')).toLowerCase(); }
function fill() {
  const words = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean), system = $('system').checked;
  visible = data.subjects.filter(s => (system || !s.system) && (!words.length || (s.text ??= text(s), words.every(w => s.text.includes(w)))));
  $('count').textContent = visible.length + ' of ' + data.subjects.length + (visible.length > rendered ? ', the first ' + rendered + ' shown' : '');
  $('list').replaceChildren(...visible.slice(0, rendered).map((s, i) => {
    const li = make('li'); li.setAttribute('role', 'option'); li.id = 's' + i;
    li.append(make('span', 'badge ' + s.risk, s.path ? s.risk + ' · ' + s.path.length : s.risk), make('span', 'who', ref(s)));
    li.onclick = () => pick(i);
    return li;
  }));
  pick(visible.length ? 0 : -1);
}
function pick(i) {
  selected = i;
  for (const li of $('list').querySelectorAll('[aria-selected=true]')) li.removeAttribute('aria-selected');
  if (i < 0) { $('detail').replaceChildren(make('p', 'muted', 'Nobody matches.')); return; }
  const li = $('s' + i);
  li.setAttribute('aria-selected', 'true'); li.scrollIntoView({block: 'nearest'}); $('list').setAttribute('aria-activedescendant', li.id);
  detail(visible[i]);
}
$('list').onkeydown = e => {
  const step = {ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15}[e.key];
  if (!step) return;
  e.preventDefault(); pick(Math.max(0, Math.min(Math.min(visible.length, rendered) - 1, selected + step)));
};
$('filter').oninput = $('system').onchange = fill;
$('filter').onkeydown = e => { if (e.key === 'ArrowDown' || e.key === 'Enter') { e.preventDefault(); $('list').focus(); } };
function detail(s) {
  const d = $('detail'), parts = [make('h2', '', ref(s))];
  if (s.path) {
    parts.push(make('h3', '', 'The shortest way to cluster-admin'));
    const list = make('ol', 'steps');
    for (const p of s.path) { const li = make('li', '', p.position); li.append(make('small', '', p.why)); for (const o of p.proof || []) li.append(make('small', '', place(o))); list.append(li); }
    parts.push(list);
  }
  if (s.powers.length) {
    const chips = make('div', 'chips');
    for (const p of s.powers) chips.append(make('span', 'chip', 'may ' + p.power + ' ' + scope(p.namespace)));
    parts.push(make('h3', '', 'Dangerous permissions'), chips);
  }
  if (s.workloads) { parts.push(make('h3', '', 'Runs ' + s.workloads.length + (s.workloads.length === 1 ? ' workload' : ' workloads'))); const c = make('div', 'chips'); for (const w of s.workloads.slice(0, 100)) c.append(make('span', 'chip', ref(w))); parts.push(c); }
  const table = make('table'), head = table.createTHead().insertRow(), body = table.createTBody();
  for (const h of ['Verbs', 'On', 'Where', 'Because of']) head.append(make('th', '', h));
  for (const i of s.bindings) {
    const b = data.bindings[i];
    for (const r of b.role < 0 ? [] : data.roles[b.role].rules) {
      const row = body.insertRow();
      row.insertCell().textContent = r.verbs.join(', ');
      const on = row.insertCell();
      on.textContent = (r.nonResourceURLs || r.resources || []).join(', ');
      if (r.apiGroups) on.append(make('small', '', r.apiGroups.map(g => g || 'core').join(', ') + (r.resourceNames ? ', named ' + r.resourceNames.join(', ') : '')));
      row.insertCell().textContent = b.namespace || 'everywhere';
      const via = row.insertCell();
      via.textContent = ref(b);
      via.append(make('small', '', ref(data.roles[b.role]) + (r.from ? ', from ' + r.from : '')));
    }
  }
  parts.push(make('h3', '', 'All permissions'), body.rows.length ? table : make('p', 'muted', 'None.'));
  d.replaceChildren(...parts); d.scrollTop = 0;
}

// Who can: the API server's rules, as in package access.
const has = (list, w) => !!list && list.some(x => x === '*' || x === w);
function allows(r, q) {
  if (!has(r.verbs, q.verb)) return false;
  if (q.path) return (r.nonResourceURLs || []).some(u => u === '*' || u === q.path || u.endsWith('*') && q.path.startsWith(u.replace(/\*+$/, '')));
  const full = q.sub ? q.resource + '/' + q.sub : q.resource;
  return has(r.apiGroups, q.group) && (r.resources || []).some(x => x === '*' || x === full || q.sub && x === '*/' + q.sub) &&
    (!r.resourceNames || !r.resourceNames.length || r.resourceNames.includes(q.name));
}
function resolve(text) {
  if (text.startsWith('/')) return {path: text};
  const [main, ...rest] = text.split('/'), sub = rest.join('/');
  const dot = main.indexOf('.'), word = (dot < 0 ? main : main.slice(0, dot)).toLowerCase(), group = dot < 0 ? null : main.slice(dot + 1);
  if (word === '*') return {resource: '*', group: group ?? '*', sub};
  const known = data.resources.find(r => (r.name === word || r.also.includes(word)) && (group === null || r.group === group)) ||
    data.resources.find(r => (r.name === word || r.also.includes(word)) && group !== null && r.group.startsWith(group));
  return known ? {resource: known.name, group: known.group, sub, known} : {resource: word, group: group ?? '', sub};
}
function answer(e) {
  e?.preventDefault();
  const q = {verb: $('verb').value.trim(), name: $('name').value.trim(), namespace: $('namespace').value.trim(), ...resolve($('resource').value.trim())};
  if (q.path || q.known && !q.known.namespaced && q.resource !== 'namespaces') q.namespace = '';
  const who = new Map();
  for (const b of data.bindings) {
    if (b.role < 0 || b.namespace && b.namespace !== q.namespace) continue;
    const role = data.roles[b.role], rule = role.rules.find(r => allows(r, q));
    if (!rule) continue;
    for (const s of b.subjects || []) { const k = ref(s); if (!who.has(k)) who.set(k, []); who.get(k).push(place(b) + ' → ' + place(role) + (rule.from ? ' → ClusterRole/' + rule.from : '')); }
  }
  const what = q.path || (q.resource + (q.group ? '.' + q.group : '') + (q.sub ? '/' + q.sub : ''));
  $('answer').textContent = who.size + (who.size === 1 ? ' subject' : ' subjects') + ' can ' + q.verb + ' ' + what + (q.name ? ' ' + q.name : '') + (q.path ? '' : q.namespace ? ' in ' + q.namespace : ' in all namespaces at once');
  $('answers').replaceChildren(...[...who].sort((a, b) => a[0] < b[0] ? -1 : 1).map(([k, via]) => {
    const row = make('tr'); row.append(make('td', '', k)); const c = make('td'); for (const v of via) c.append(make('div', '', v)); row.append(c); return row;
  }));
}
$('question').onsubmit = answer;
const options = (id, list) => $(id).replaceChildren(...list.map(v => { const o = make('option'); o.value = v; return o; }));
options('verbs', ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection', 'impersonate', 'bind', 'escalate', 'approve', '*']);
options('resources', data.resources.map(r => r.name + (r.group ? '.' + r.group : '')));
options('namespaces', [...new Set(data.bindings.map(b => b.namespace).filter(Boolean))].sort());
answer();

// Findings.
function cards() {
  const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const list = data.findings.filter(f => words.every(w => (f.rule + f.title + f.severity + f.evidence + f.places.join(' ')).toLowerCase().includes(w)));
  $('shown').textContent = list.length + ' of ' + data.findings.length;
  $('cards').replaceChildren(...list.map(f => {
    const d = make('details'), s = make('summary');
    s.append(make('span', 'badge ' + f.severity, f.severity), ' ', make('code', 'muted', f.rule), ' ', f.title);
    d.append(s);
    d.ontoggle = () => {
      if (d.childElementCount > 1) return;
      d.append(make('p', '', f.evidence), make('p', 'muted', f.places.join('\n')));
      const at = f.remediation.indexOf('\n\n# kubectl ');
      d.append(make('p', '', at < 0 ? f.remediation : f.remediation.slice(0, at)));
      if (at >= 0) { const copy = make('button', 'quiet', 'Copy the fix'), pre = make('pre', '', f.remediation.slice(at + 2)); copy.type = 'button'; copy.onclick = () => navigator.clipboard?.writeText(pre.textContent).then(() => { copy.textContent = 'Copied'; }); d.append(copy, pre); }
    };
    return d;
  }));
}
$('search').oninput = cards;

const start = location.hash.slice(1);
fit();
const passed = new Set([...groups.values()].map(g => g.dataset.next)), leaves = [...groups.values()].filter(g => !passed.has(g.dataset.id));
choose(leaves.find(g => g.classList.contains('workload')) || leaves[0]);
if (tabs.includes(start)) show(start);
