'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const items = [...document.querySelectorAll('details.requirement')];
  const tiles = [...document.querySelectorAll('.tile')];
  const wanted = new Set();

  function show() {
    const words = $('query').value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const text = item.textContent.toLowerCase();
      item.hidden = (wanted.size > 0 && !wanted.has(item.dataset.status)) || !words.every((w) => text.includes(w));
      if (!item.hidden) shown++;
    }
    for (const chapter of document.querySelectorAll('.chapter')) {
      chapter.hidden = !chapter.querySelector('details.requirement:not([hidden])');
    }
    $('shown').textContent = shown === items.length ? '' : shown + ' of ' + items.length + ' requirements';
  }

  for (const tile of tiles) {
    tile.addEventListener('click', () => {
      const status = tile.dataset.status;
      if (!wanted.delete(status)) wanted.add(status);
      tile.setAttribute('aria-pressed', String(wanted.has(status)));
      show();
    });
  }
  $('query').addEventListener('input', show);
  document.addEventListener('keydown', (e) => {
    if (e.key === '/' && document.activeElement !== $('query')) {
      e.preventDefault();
      $('query').focus();
    }
  });

  function openAll(open) {
    for (const item of items) item.open = open;
    $('all').setAttribute('aria-pressed', String(open));
    $('all').textContent = open ? 'Close all' : 'Open all';
  }
  $('all').addEventListener('click', () => openAll($('all').getAttribute('aria-pressed') !== 'true'));
  addEventListener('beforeprint', () => {
    openAll(true);
    for (const d of document.querySelectorAll('.gaps details')) d.open = true;
  });
  $('print').addEventListener('click', () => print());
  $('theme').addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });
  if (location.hash.startsWith('#r-')) {
    const item = $(decodeURIComponent(location.hash.slice(1)));
    if (item) item.open = true;
  }
})();
