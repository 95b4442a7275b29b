"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const W = data.workloads, N = data.namespaces, $ = (id) => document.getElementById(id);
  const stage = $("stage"), view = $("view"), boxes = $("boxes"), edges = $("edges"), panel = $("panel");
  const cellW = 168, cellH = 34, gap = 8, pad = 12, bar = 28, many = 400;
  const el = (name, attrs, ...children) => {
    const svg = ["g", "rect", "text", "circle", "path"].includes(name);
    const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [k, v] of Object.entries(attrs || {})) e.setAttribute(k, v);
    e.append(...children);
    return e;
  };
  const plural = (n, word) => n + " " + word + (n === 1 ? "" : "s");
  const id = (w) => N[w.n] + "/" + w.k + "/" + w.w;

  // Rows are runs of (ports, count); at looks one pair up.
  const none = data.sets.indexOf("no ports");
  const rows = data.rows.map((runs) => {
    const ends = [], sets = [];
    for (let i = 0, at = 0; i < runs.length; i += 2) { at += runs[i + 1]; ends.push(at); sets.push(runs[i]); }
    return { ends, sets };
  });
  const at = (src, dst) => {
    const { ends, sets } = rows[W[src].r];
    let lo = 0, hi = ends.length - 1;
    while (lo < hi) { const mid = (lo + hi) >> 1; if (ends[mid] > dst) hi = mid; else lo = mid + 1; }
    return sets[lo];
  };
  const inside = N.map(() => []);
  W.forEach((w, i) => inside[w.n].push(i));

  // Layout: a box per namespace, boxes on shelves.
  const closed = N.map(() => W.length > many);
  let place = [], boxOf = [], cursor = null, chosen = null, hits = null;
  const sizeOf = (n) => {
    if (closed[n]) return { w: cellW + 2 * pad + 24, h: bar + 4, cols: 0 };
    const count = inside[n].length, cols = Math.max(1, Math.min(12, Math.ceil(Math.sqrt(count * cellH * 1.4 / cellW * 2))));
    return { w: cols * cellW + (cols - 1) * gap + 2 * pad, h: bar + Math.ceil(count / cols) * (cellH + gap) + pad, cols };
  };
  let total = null;
  function layout() {
    const sizes = N.map((_, n) => sizeOf(n));
    const area = sizes.reduce((a, s) => a + (s.w + 24) * (s.h + 24), 0), widest = Math.max(200, ...sizes.map((s) => s.w));
    const order = N.map((_, n) => n).sort((a, b) => (sizes[b].h - sizes[a].h) || a - b);
    // Of several widths the one that shows everything largest.
    let best = null;
    for (let k = 0.8; k <= 2.6; k += 0.15) {
      const s = shelves(order, sizes, Math.max(widest, Math.sqrt(area) * k));
      s.scale = Math.min(stage.clientWidth / s.w, stage.clientHeight / s.h);
      if (!best || s.scale > best.scale) best = s;
    }
    total = best; boxOf = best.boxes; place = [];
    N.forEach((_, n) => inside[n].forEach((i, k) => {
      const b = boxOf[n], cols = sizes[n].cols;
      place[i] = cols ? { x: b.x + pad + (k % cols) * (cellW + gap), y: b.y + bar + 6 + Math.floor(k / cols) * (cellH + gap), w: cellW, h: cellH } : b;
    }));
    draw();
  }
  function shelves(order, sizes, limit) {
    const boxes = [];
    let x = 0, y = 70, shelf = 0, w = 240;
    for (const n of order) {
      const s = sizes[n];
      if (x > 0 && x + s.w > limit) { x = 0; y += shelf + 24; shelf = 0; }
      boxes[n] = { x, y, w: s.w, h: s.h };
      w = Math.max(w, x + s.w); x += s.w + 24; shelf = Math.max(shelf, s.h);
    }
    return { boxes, w, h: y + shelf };
  }
  const outsideBox = () => ({ x: total.w / 2 - 110, y: 0, w: 220, h: 40 });
  const cut = (s, n) => (s.length > n ? s.slice(0, n - 1) + "…" : s);
  function draw() {
    boxes.replaceChildren();
    const o = outsideBox();
    boxes.append(el("g", { class: "outside" }, el("rect", { x: o.x, y: o.y, width: o.w, height: o.h, rx: 20 }), el("text", { x: total.w / 2, y: 25, "text-anchor": "middle" }, "Outside the cluster")));
    N.forEach((name, n) => {
      const b = boxOf[n], g = el("g", { class: "ns", "data-n": n });
      const open = inside[n].filter((i) => !W[i].i).length, ways = inside[n].filter((i) => W[i].x).length;
      g.append(el("rect", { class: "frame", x: b.x, y: b.y, width: b.w, height: b.h, rx: 9 }), el("rect", { class: "bar", x: b.x + 2, y: b.y + 2, width: b.w - 4, height: bar - 2, rx: 7 }),
        el("text", { class: "title", x: b.x + 10, y: b.y + 19 }, (closed[n] ? "▸ " : "▾ ") + cut(name, Math.max(8, Math.floor((b.w - 96) / 8)))),
        el("text", { class: "count", x: b.x + b.w - 10 - (ways ? 14 : 0), y: b.y + 19 }, (open ? open + "/" : "") + inside[n].length + (open ? " open" : "")));
      if (ways) g.append(el("circle", { cx: b.x + b.w - 14, cy: b.y + 15, r: 5, fill: "var(--bad)" }));
      if (!closed[n]) for (const i of inside[n]) g.append(cell(i));
      boxes.append(g);
    });
    mark();
  }
  function cell(i) {
    const w = W[i], p = place[i], g = el("g", { class: "w" + (w.h ? " host" : w.i ? "" : " open"), "data-i": i });
    g.append(el("rect", { x: p.x, y: p.y, width: p.w, height: p.h }), el("text", { class: "kind", x: p.x + 8, y: p.y + 12 }, w.k), el("text", { x: p.x + 8, y: p.y + 26 }, cut(w.w, 22)));
    if (w.x) g.append(el("circle", { cx: p.x + p.w - 10, cy: p.y + 10, r: 4.5 }));
    return g;
  }

  // Zoom and pan.
  let scale = 1, tx = 0, ty = 0;
  function apply() {
    view.setAttribute("transform", `translate(${tx} ${ty}) scale(${scale})`);
    stage.classList.toggle("far", scale < 0.4);
    stage.style.setProperty("--scale", Math.max(scale, 0.22));
  }
  function zoom(by, cx = stage.clientWidth / 2, cy = stage.clientHeight / 2) {
    const next = Math.min(4, Math.max(0.04, scale * by));
    tx = cx - (cx - tx) * next / scale; ty = cy - (cy - ty) * next / scale; scale = next;
    apply();
  }
  function fit(box = { x: 0, y: 0, w: total.w, h: total.h }, most = 1.25) {
    const m = 24, sw = stage.clientWidth, sh = stage.clientHeight;
    scale = Math.min(most, (sw - 2 * m) / box.w, (sh - 2 * m) / box.h);
    tx = (sw - box.w * scale) / 2 - box.x * scale; ty = (sh - box.h * scale) / 2 - box.y * scale;
    apply();
  }
  function show(box) {
    const x = box.x * scale + tx, y = box.y * scale + ty;
    if (x < 20 || y < 20 || x + box.w * scale > stage.clientWidth - 20 || y + box.h * scale > stage.clientHeight - 20) {
      if (scale < 0.4) scale = 0.8;
      tx = stage.clientWidth / 2 - (box.x + box.w / 2) * scale; ty = stage.clientHeight / 2 - (box.y + Math.min(box.h, 300) / 2) * scale;
      apply();
    }
  }

  // What is chosen: {i} a workload, {n} a namespace, null nothing.
  function links(members) {
    const out = new Map(), into = new Map(), set = new Set(members);
    for (const i of members) for (let k = 0; k < W.length; k++) {
      if (set.has(k)) continue;
      const a = at(i, k), b = at(k, i);
      if (a !== none) out.set(k, out.has(k) && out.get(k) !== a ? -1 : a);
      if (b !== none) into.set(k, into.has(k) && into.get(k) !== b ? -1 : b);
    }
    return { out, into };
  }
  const ports = (s) => (s === -1 ? "various ports" : data.sets[s]);
  // A line leaves a box on the side that faces the other, its two directions a little apart.
  function border(b, to, kind) {
    const cx = b.x + b.w / 2, cy = b.y + b.h / 2, dx = to.x + to.w / 2 - cx, dy = to.y + to.h / 2 - cy;
    const t = Math.min(b.w / 2 / Math.max(Math.abs(dx), 0.01), b.h / 2 / Math.max(Math.abs(dy), 0.01)), apart = kind === "in" ? 5 : -5;
    return Math.abs(dx) * b.h > Math.abs(dy) * b.w ? [cx + dx * t, cy + dy * t + apart] : [cx + dx * t + apart * 2, cy + dy * t];
  }
  function line(a, b, kind) {
    const [x1, y1] = border(a, b, kind), [x2, y2] = border(b, a, kind), length = Math.hypot(x2 - x1, y2 - y1) || 1;
    const bend = Math.min(60, length / 6) * (kind === "in" ? 1 : -1), mx = (x1 + x2) / 2 - (y2 - y1) / length * bend, my = (y1 + y2) / 2 + (x2 - x1) / length * bend;
    edges.append(el("path", { class: kind, d: `M${x1} ${y1}Q${mx} ${my} ${x2} ${y2}`, "marker-end": `url(#arrow-${kind})` }));
  }
  let current = null;
  function choose(next) {
    chosen = next;
    edges.replaceChildren();
    if (!next) { current = null; mark(); return overview(); }
    const members = next.i !== undefined ? [next.i] : inside[next.n];
    current = links(members);
    const from = next.i !== undefined ? place[next.i] : boxOf[next.n], drawn = new Set();
    const target = (k) => (closed[W[k].n] || next.n !== undefined || current.out.size + current.into.size > 160 ? boxOf[W[k].n] : place[k]);
    for (const [kind, map] of [["out", current.out], ["in", current.into]]) for (const k of map.keys()) {
      const t = target(k), key = kind + t.x + "," + t.y;
      if (t === boxOf[W[members[0]].n] || drawn.has(key)) continue;
      drawn.add(key);
      if (kind === "out") line(from, t, kind); else line(t, from, kind);
    }
    if (members.some((i) => W[i].e)) line(from, outsideBox(), "out");
    if (members.some((i) => W[i].x)) line(outsideBox(), from, "in");
    mark(); details(next, members);
  }
  function mark() {
    for (const g of boxes.querySelectorAll("[data-n], [data-i]")) {
      const i = g.dataset.i, n = g.dataset.n, c = g.classList;
      const mine = chosen && (i !== undefined ? chosen.i === +i : chosen.n === +n);
      c.toggle("chosen", !!mine);
      c.toggle("cursor", !!cursor && (i !== undefined ? cursor.i === +i : cursor.n === +n));
      if (i === undefined) continue;
      const linked = current && (current.out.has(+i) || current.into.has(+i));
      const own = chosen && chosen.n !== undefined && W[i].n === chosen.n;
      c.toggle("dim", hits ? !hits.has(+i) : !!chosen && !mine && !linked && !own);
      c.toggle("hit", !!hits && hits.has(+i) && hits.size < W.length);
    }
  }

  // The panel.
  const badge = (kind, text) => el("span", { class: "badge " + kind }, text);
  const goButton = (text, next) => { const b = el("button", { class: "go", type: "button" }, text); b.addEventListener("click", () => { reveal(next); choose(next); }); return b; };
  function overview() {
    panel.replaceChildren(el("h2", {}, "The cluster"), el("p", { class: "muted" }, "Select a workload or a namespace to see what it can reach and what can reach it."));
    const ways = W.map((w, i) => [w, i]).filter(([w]) => w.x);
    section(panel, "", "Reachable from outside", ways.length);
    const list = el("ul");
    for (const [w, i] of ways.slice(0, 200)) list.append(el("li", {}, goButton(id(w), { i }), el("span", { class: "muted" }, [...new Set(w.x.map((x) => x[1]))].join("; "))));
    panel.append(list);
    const open = N.map((name, n) => [name, n, inside[n].filter((i) => !W[i].i).length]).filter((x) => x[2]).sort((a, b) => b[2] - a[2]);
    section(panel, "", "Namespaces with workloads open to every pod", open.length);
    const spaces = el("ul");
    for (const [name, n, count] of open.slice(0, 200)) spaces.append(el("li", {}, goButton(name, { n }), el("span", { class: "muted" }, count + " of " + inside[n].length)));
    panel.append(spaces, el("h3", {}, "Keys"), el("p", { class: "muted" }, ...keys()));
  }
  function keys() {
    return [["/", "find"], ["arrows", "move"], ["Enter", "select, open or close"], ["+ −", "zoom"], ["0", "fit"], ["Esc", "clear"]].flatMap(([k, what]) => [el("kbd", {}, k), " " + what + "  "]);
  }
  function section(into, sw, title, n) {
    const h = el("h3");
    if (sw) h.append(el("span", { class: "sw " + sw }));
    h.append(title + " (" + n + ")");
    into.append(h);
  }
  function details(next, members) {
    panel.replaceChildren();
    if (next.i !== undefined) {
      const w = W[next.i];
      panel.append(el("h2", {}, w.w), el("p", { class: "muted" }, w.k + " in ", goButton(N[w.n], { n: w.n })));
      if (w.h) panel.append(badge("host", "node network: no policy binds it"));
      else panel.append(badge(w.i ? "good" : "warn", w.i ? "ingress isolated" : "ingress open"), badge(w.o ? "good" : "warn", w.o ? "egress isolated" : "egress open"));
      if (w.x) panel.append(badge("bad", "reachable from outside"));
    } else panel.append(el("h2", {}, N[next.n]), el("p", { class: "muted" }, "namespace, " + plural(members.length, "workload")));
    if (next.n !== undefined) {
      const list = el("ul");
      for (const i of members) list.append(el("li", {}, goButton(W[i].w, { i }), el("span", { class: "muted" }, W[i].k)));
      section(panel, "", "Workloads", members.length); panel.append(list);
    }
    const ways = members.flatMap((i) => (W[i].x || []).map((x) => [members.length > 1 ? W[i].w + ": " + x[0] : x[0], x[1]]));
    if (ways.length) { section(panel, "in", "From outside", ways.length); panel.append(pairs(ways)); }
    section(panel, "in", "Can be reached by", current.into.size); groups(current.into);
    section(panel, "out", "Can reach", current.out.size); groups(current.out);
    const seen = new Map();
    for (const i of members) for (const [a, p] of W[i].e || []) seen.set(a + p, [a, p]);
    section(panel, "out", "Addresses outside", seen.size); panel.append(pairs([...seen.values()]));
  }
  function pairs(list) {
    const ul = el("ul");
    for (const [a, b] of list) ul.append(el("li", {}, el("span", {}, cut(a, 400)), el("span", { class: "muted" }, b)));
    return ul;
  }
  function groups(map) {
    const by = new Map();
    for (const [k, s] of map) { const n = W[k].n; if (!by.has(n)) by.set(n, []); by.get(n).push([k, s]); }
    for (const [n, list] of [...by].sort((a, b) => N[a[0]].localeCompare(N[b[0]]))) {
      const same = new Set(list.map((x) => x[1])).size === 1;
      const d = el("details", by.size <= 3 && list.length <= 12 ? { open: "" } : {}, el("summary", {}, N[n] + " ", el("span", { class: "muted" }, list.length + " · " + (same ? ports(list[0][1]) : "various ports"))));
      const fill = () => { if (d.open && d.children.length === 1) { const ul = el("ul"); for (const [k, s] of list) ul.append(el("li", {}, goButton(W[k].w, { i: k }), el("span", { class: "muted" }, ports(s)))); d.append(ul); } };
      d.addEventListener("toggle", fill); fill();
      panel.append(d);
    }
  }
  function reveal(next) {
    if (next.i !== undefined && closed[W[next.i].n]) { closed[W[next.i].n] = false; layout(); }
    cursor = next;
    show(next.i !== undefined ? place[next.i] : boxOf[next.n]);
  }

  // Search.
  function find() {
    const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) { hits = null; $("found").textContent = ""; return mark(); }
    hits = new Set();
    W.forEach((w, i) => { const text = id(w).toLowerCase(); if (words.every((x) => text.includes(x))) hits.add(i); });
    $("found").textContent = plural(hits.size, "workload");
    const spaces = new Set([...hits].map((i) => W[i].n));
    let changed = false;
    if (hits.size <= many) for (const n of spaces) if (closed[n]) { closed[n] = false; changed = true; }
    if (changed) layout(); else mark();
  }
  function first() {
    if (!hits || !hits.size) return;
    const list = [...hits], k = chosen && chosen.i !== undefined ? list.indexOf(chosen.i) : -1, i = list[(k + 1) % list.length];
    reveal({ i }); choose({ i });
  }

  // Input.
  let drag = null;
  stage.addEventListener("pointerdown", (e) => { drag = { x: e.clientX, y: e.clientY, moved: false }; });
  stage.addEventListener("pointermove", (e) => {
    if (!drag) return;
    const dx = e.clientX - drag.x, dy = e.clientY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < 5) return;
    if (!drag.moved) { drag.moved = true; stage.setPointerCapture(e.pointerId); }
    drag.x = e.clientX; drag.y = e.clientY; tx += dx; ty += dy; apply();
  });
  stage.addEventListener("pointerup", (e) => {
    const moved = drag && drag.moved;
    drag = null;
    if (moved) return;
    const w = e.target.closest("[data-i]"), n = e.target.closest("[data-n]");
    if (w) { cursor = { i: +w.dataset.i }; choose(cursor); } else if (n) toggle(+n.dataset.n, e.target.classList.contains("bar")); else { cursor = null; choose(null); }
  });
  stage.addEventListener("pointercancel", () => { drag = null; });
  stage.addEventListener("wheel", (e) => { e.preventDefault(); const r = stage.getBoundingClientRect(); zoom(Math.exp(-e.deltaY * 0.0016), e.clientX - r.left, e.clientY - r.top); }, { passive: false });
  function toggle(n, bar) {
    if (bar || closed[n]) { closed[n] = !closed[n]; layout(); }
    cursor = { n }; choose({ n });
  }
  function step(dx, dy) {
    const all = [...N.map((_, n) => ({ n, box: boxOf[n], y: boxOf[n].y + bar / 2 })), ...W.map((w, i) => ({ i, box: place[i], y: place[i].y + cellH / 2 })).filter((c) => !closed[W[c.i].n])];
    const same = (a, b) => a && b && a.i === b.i && a.n === b.n;
    const now = all.find((c) => same(c, cursor)) || all[0];
    if (!now) return;
    if (!cursor) { cursor = pickOf(now); mark(); return show(now.box); }
    let best = null, cost = Infinity;
    for (const c of all) {
      if (c === now) continue;
      const ax = c.box.x - now.box.x, ay = c.y - now.y, along = ax * dx + ay * dy, off = Math.abs(dx ? ay : ax);
      if (along > 2 && along + off * 3 < cost) { best = c; cost = along + off * 3; }
    }
    if (best) { cursor = pickOf(best); mark(); show(best.i !== undefined ? best.box : { ...best.box, h: bar }); }
  }
  const pickOf = (c) => (c.i !== undefined ? { i: c.i } : { n: c.n });
  stage.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (moves[e.key]) step(...moves[e.key]);
    else if (e.key === "Enter" || e.key === " ") { if (cursor && cursor.n !== undefined) toggle(cursor.n, true); else if (cursor) choose(cursor); }
    else if (e.key === "+" || e.key === "=") zoom(1.3); else if (e.key === "-") zoom(1 / 1.3); else if (e.key === "0") fit(); else return;
    e.preventDefault();
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "/" && e.target !== $("find")) { e.preventDefault(); $("find").focus(); $("find").select(); }
    if (e.key === "Escape") { $("find").value = ""; hits = null; $("found").textContent = ""; cursor = null; choose(null); }
  });
  $("find").addEventListener("input", find);
  $("find").addEventListener("keydown", (e) => { if (e.key === "Enter") first(); });
  $("plus").addEventListener("click", () => zoom(1.3)); $("minus").addEventListener("click", () => zoom(1 / 1.3)); $("fit").addEventListener("click", () => fit());
  for (const [name, value] of [["collapse", true], ["expand", false]]) $(name).addEventListener("click", () => { closed.fill(value); layout(); fit(); choose(chosen); });
  $("theme").addEventListener("click", () => {
    const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  addEventListener("resize", apply);
  layout(); fit(); choose(null);
  // A link to a workload: #namespace/Kind/name.
  const wanted = W.findIndex((w) => id(w) === decodeURIComponent(location.hash.slice(1)));
  if (wanted >= 0) { reveal({ i: wanted }); choose({ i: wanted }); }
})();
