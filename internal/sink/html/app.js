"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const words = ["unknown", "negligible", "low", "medium", "high", "critical"];
  const chunk = 60; // rows rendered at a time
  const $ = id => document.getElementById(id);

  // Names come from the scanned thing: controls, direction overrides and other
  // invisible characters are shown as escapes.
  const plain = s => s.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, c => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));

  // el makes an element. Text only ever goes in as text nodes.
  function el(tag, attrs, ...children) {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(attrs)) e.setAttribute(k, v);
    for (const c of children) if (c) e.append(c.nodeType ? c : plain(c));
    return e;
  }
  const badge = s => el("span", { class: "badge " + words[s] }, words[s]);
  const plural = (n, noun) => n + " " + (n === 1 ? noun : noun.endsWith("y") ? noun.slice(0, -1) + "ies" : noun + "s");
  const percent = x => x >= .0995 ? Math.round(x * 100) + "%" : (x * 100).toFixed(1) + "%";
  const identifier = v => v.h ? el("a", { href: v.h, rel: "noopener noreferrer", target: "_blank", class: "mono" }, v.i) : el("span", { class: "mono" }, v.i);

  // State of the filters; the views derive everything from it.
  const severities = new Set();
  let view = "groups", column = "severity";
  const hay = new WeakMap();
  function text(item, parts) {
    let t = hay.get(item);
    if (t === undefined) hay.set(item, t = parts().filter(Boolean).join(" ").toLowerCase());
    return t;
  }
  function filter() {
    const terms = $("query").value.toLowerCase().split(/\s+/).filter(Boolean);
    return {
      layer: $("layer").value === "" ? null : $("layer").value, asset: $("asset").value === "" ? null : +$("asset").value,
      fixable: $("fixable").checked, exploited: $("exploited").checked, matches: t => terms.every(w => t.includes(w)),
    };
  }
  const inLayer = (f, l) => f.layer === null || (f.layer === "base" ? l >= 0 && /^layer \d+ \(base image\)/.test(data.layers[l]) : f.layer === "app" ? l >= 0 && !/^layer \d+ \(base image\)/.test(data.layers[l]) : l === +f.layer);
  const place = (f, x) => (f.asset === null || x.a === f.asset) && inLayer(f, x.l);

  function shownGroups(f) {
    const out = [];
    for (const g of data.groups) {
      if (!place(f, g)) continue;
      const own = text(g, () => [g.n, g.v, g.e, g.u, ...(g.k || []), ...(g.p || []), data.assets[g.a]]);
      const list = g.f.filter(v => (!severities.size || severities.has(v.s)) && (!f.fixable || v.f) && (!f.exploited || v.k)
        && f.matches(own + " " + text(v, () => [v.i, ...(v.y || []), v.d])));
      if (list.length) out.push({ g, list });
    }
    const top = (x, key) => Math.max(...x.list.map(v => v[key] || 0));
    const order = $("order").value;
    if (order === "name") out.sort((a, b) => a.g.n.localeCompare(b.g.n));
    if (order === "count") out.sort((a, b) => b.list.length - a.list.length);
    if (order === "epss") out.sort((a, b) => top(b, "e") - top(a, "e"));
    return out;
  }
  function shownProblems(list, f) {
    return list.filter(p => place(f, p) && (!severities.size || severities.has(p.s)) && (!f.exploited || p.k === "malware") &&
      f.matches(text(p, () => [p.i, p.n, p.k, p.w, p.r, p.e, p.f, data.assets[p.a]])));
  }

  function card({ g, list }) {
    const worst = Math.max(...list.map(v => v.s));
    const counts = el("span", { class: "counts" });
    if (list.some(v => v.k)) counts.append(el("span", { class: "badge kev" }, "exploited"));
    for (let s = 5; s >= 0; s--) {
      const n = list.filter(v => v.s === s).length;
      if (n) counts.append(el("span", { class: "badge " + words[s] }, n + " " + words[s]));
    }
    const fixed = list.filter(v => v.f).length;
    const who = el("span", { class: "who" }, el("b", {}, g.n), el("span", { class: "mono" }, g.v));
    if (g.u) who.append(el("span", { class: "arrow", "aria-label": "upgrade to" }, "→"), el("span", { class: "mono up" }, g.u), fixed < list.length ? el("span", { class: "sub" }, "  mends " + fixed + " of " + list.length) : "");
    else who.append(el("span", { class: "stuck" }, "  " + g.x));
    const where = [g.e, g.k ? "in " + g.k.join(", ") : "", g.l >= 0 ? data.layers[g.l] : "", g.p ? g.p[0] + (g.p.length > 1 ? " and " + (g.p.length - 1) + " more" : "") : "", data.assets.length > 1 ? data.assets[g.a] : ""];
    const d = el("details", { class: "card " + words[worst] }, el("summary", {}, who, counts, el("span", { class: "place" }, where.filter(Boolean).join(" · "))));
    d.addEventListener("toggle", () => {
      if (!d.open || d.children.length > 1) return;
      const inside = el("div", { class: "inside" }, g.r ? el("p", { class: "advice fix" }, g.r) : "", ...list.map(v => vulnerability(v)));
      if (g.p && g.p.length > 1) inside.append(...g.p.map(p => el("div", { class: "sub mono" }, p)));
      d.append(inside);
    });
    return d;
  }
  function vulnerability(v, g) {
    const marks = [v.k ? el("span", { class: "badge kev" }, "known exploited") : "", v.c ? el("span", { class: "badge line" }, "CVSS " + v.c) : ""].filter(Boolean);
    return el("div", { class: "row" }, badge(v.s),
      el("span", {}, identifier(v), v.y ? el("span", { class: "sub" }, el("br", {}), v.y.join(" ")) : ""),
      el("span", { class: "wide" }, g ? el("b", {}, g.n + " " + g.v) : "", g && v.d ? el("br", {}) : "", v.d, v.r ? el("span", { class: "sub" }, el("br", {}), v.r) : "", marks.length ? el("br", {}) : "", ...marks.flatMap(m => [m, " "])),
      v.f ? el("span", { class: "wide" }, el("span", { class: "sub" }, "fixed in "), el("span", { class: "mono fix" }, v.f)) : el("span", { class: "stuck wide" }, v.t.replaceAll("-", " ")),
      el("span", { class: "sub wide", title: "EPSS: probability of exploitation in the next 30 days" }, v.e ? "EPSS " + percent(v.e) : ""));
  }
  function problem(p) {
    return el("div", { class: "row" }, p.t === "fail" ? badge(p.s) : el("span", { class: "badge line" }, p.t.replace("-", " ")),
      el("span", {}, identifier(p), el("span", { class: "sub" }, el("br", {}), p.k)),
      el("span", { class: "wide" }, p.n, ...[p.r, p.e, p.w, data.assets.length > 1 ? data.assets[p.a] : ""].filter(Boolean).map(t => el("div", { class: "sub" }, t))),
      el("span", { class: "fix rest wide" }, p.f || ""));
  }
  function packageRow(p) {
    return el("div", { class: "row" }, el("span", { class: "sub" }, p.e), el("b", {}, p.n), el("span", { class: "mono" }, p.v), el("span", { class: "sub" }, p.c || ""), el("span", { class: "sub mono" }, p.p || ""));
  }

  const sorts = {
    severity: (a, b) => b.v.s - a.v.s || (b.v.e || 0) - (a.v.e || 0), id: (a, b) => a.v.i.localeCompare(b.v.i, "en", { numeric: true }),
    name: (a, b) => a.g.n.localeCompare(b.g.n), fixed: (a, b) => !a.v.f - !b.v.f, epss: (a, b) => (b.v.e || 0) - (a.v.e || 0),
  };
  function header() {
    const b = (key, label) => {
      const e = el("button", { type: "button", "aria-pressed": String(column === key) }, label + (column === key ? " ↓" : ""));
      e.addEventListener("click", () => { column = key; render(); });
      return e;
    };
    return el("div", { class: "row head" }, b("severity", "Severity"), b("id", "Identifier"), b("name", "Package"), b("fixed", "Fixed in"), b("epss", "EPSS"));
  }

  const views = {
    groups: { label: "By upgrade", total: () => data.groups.length, items: f => shownGroups(f), row: card, said: x => plural(x.reduce((n, y) => n + y.list.length, 0), "vulnerability") + " in " + plural(x.length, "package") },
    flat: { label: "Vulnerabilities", total: () => data.groups.reduce((n, g) => n + g.f.length, 0), head: header, sheet: true,
      items: f => shownGroups(f).flatMap(x => x.list.map(v => ({ g: x.g, v }))).sort(sorts[column]), row: x => vulnerability(x.v, x.g), said: x => plural(x.length, "vulnerability") },
    others: { label: "Other findings", total: () => data.others.length, sheet: true, items: f => shownProblems(data.others, f), row: problem, said: x => plural(x.length, "finding") },
    waived: { label: "Not counted", total: () => data.waived.length, sheet: true, items: f => shownProblems(data.waived, f), row: problem, said: x => plural(x.length, "finding") + " suppressed or not evaluated" },
    packages: { label: "Packages", total: () => data.packages.length, sheet: true, row: packageRow, said: x => plural(x.length, "package"),
      items: f => data.packages.filter(p => (f.asset === null || p.a === f.asset) && f.matches(text(p, () => [p.n, p.v, p.e, p.c, p.p]))) },
  };

  // Rendering: the first chunk at once, the rest as the reader nears the end.
  let items = [], done = 0, target = null;
  function more(all) {
    const end = all ? items.length : Math.min(done + chunk, items.length);
    const part = document.createDocumentFragment();
    for (; done < end; done++) part.append(views[view].row(items[done]));
    target.append(part);
  }
  function render() {
    const v = views[view];
    items = v.items(filter());
    done = 0;
    target = v.sheet ? el("div", { class: "sheet" }) : el("div", {});
    if (v.head && items.length) target.append(v.head());
    if (items.length) more();
    const total = v.total();
    $("list").replaceChildren(items.length ? target : el("p", { class: "empty" }, total ? "Nothing matches the filter." : "Nothing here."));
    $("count").textContent = v.said(items) + (items.length < total && view !== "flat" ? " of " + total + " shown" : "");
    for (const t of document.querySelectorAll(".tabs button")) {
      t.setAttribute("aria-selected", String(t.dataset.view === view));
      t.tabIndex = t.dataset.view === view ? 0 : -1;
    }
  }

  // Controls.
  const tabs = document.querySelector(".tabs");
  for (const [key, v] of Object.entries(views)) {
    if (!v.total() && key !== "groups") continue;
    const t = el("button", { type: "button", role: "tab", "data-view": key, "aria-controls": "list" }, v.label + " ", el("span", { class: "sub" }, String(v.total())));
    t.addEventListener("click", () => { view = key; render(); });
    tabs.append(t);
  }
  tabs.addEventListener("keydown", e => {
    const all = [...tabs.children], step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!step) return;
    const next = all[(all.findIndex(t => t.dataset.view === view) + step + all.length) % all.length];
    next.click(); next.focus();
  });
  $("list").setAttribute("role", "tabpanel");
  if (!data.groups.length && data.others.length) view = "others";
  for (const b of document.querySelectorAll(".tile")) b.addEventListener("click", () => {
    const s = words.indexOf(b.dataset.severity), on = !severities.has(s);
    on ? severities.add(s) : severities.delete(s);
    b.setAttribute("aria-pressed", String(on));
    render();
  });
  function options(select, first, entries) {
    select.append(el("option", { value: "" }, first), ...entries.map(([v, label]) => el("option", { value: v }, label)));
    if (!entries.length) select.parentElement.hidden = true;
  }
  const layers = data.layers.map((l, i) => [i, l.length > 70 ? l.slice(0, 69) + "…" : l]).sort((a, b) => a[1].localeCompare(b[1], "en", { numeric: true }));
  options($("layer"), "all layers", layers.length ? [["base", "base image"], ["app", "not the base image"], ...layers] : []);
  options($("asset"), "all assets", data.assets.length > 1 ? data.assets.map((a, i) => [i, a]) : []);
  const form = document.querySelector(".tools");
  form.addEventListener("input", render);
  form.addEventListener("submit", e => e.preventDefault());
  form.addEventListener("reset", () => {
    severities.clear();
    for (const b of document.querySelectorAll(".tile")) b.setAttribute("aria-pressed", "false");
    setTimeout(render);
  });
  document.addEventListener("keydown", e => {
    if (e.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) { e.preventDefault(); $("query").focus(); }
    if (e.key === "Escape" && document.activeElement === $("query")) { $("query").value = ""; render(); }
  });
  for (const b of document.querySelectorAll(".copy")) b.addEventListener("click", () => {
    const done = () => { b.textContent = "Copied"; setTimeout(() => { b.textContent = "Copy"; }, 1500); };
    if (navigator.clipboard) navigator.clipboard.writeText(b.dataset.copy).then(done, () => {});
  });

  // The bar of shares, drawn here because the policy allows no inline style.
  let x = 0;
  const counts = [...document.querySelectorAll(".tile")].map(t => [t.dataset.severity, +t.querySelector("b").textContent]);
  const sum = counts.reduce((n, c) => n + c[1], 0) || 1;
  for (const [word, n] of counts) {
    const r = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [k, v] of Object.entries({ class: word, x, y: 0, width: n / sum * 1000, height: 8 })) r.setAttribute(k, v);
    $("share").append(r);
    x += n / sum * 1000;
  }

  // Theme: the system's until the reader chooses; the choice is kept where the browser allows.
  const root = document.documentElement;
  try { const t = localStorage.getItem("seawall-theme"); if (t) root.dataset.theme = t; } catch { /* a file page may have no storage */ }
  $("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("seawall-theme", root.dataset.theme); } catch { /* see above */ }
  });

  // Print everything, opened, with the other findings after the view shown:
  // paper cannot be scrolled or clicked.
  $("print").addEventListener("click", () => print());
  addEventListener("beforeprint", () => {
    more(true);
    if (items.length <= 500) for (const d of document.querySelectorAll("details.card")) d.open = true;
    for (const key of ["others", "waived"]) if (key !== view && views[key].total())
      $("list").append(el("div", { class: "printed" }, el("h2", {}, views[key].label), el("div", { class: "sheet" }, ...views[key].items(filter()).map(views[key].row))));
  });
  addEventListener("afterprint", () => { for (const e of document.querySelectorAll(".printed")) e.remove(); });

  new IntersectionObserver(e => { if (e[0].isIntersecting && done < items.length) more(); }, { rootMargin: "900px" }).observe($("more"));
  render();
})();
