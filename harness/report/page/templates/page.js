// The table of all runs, and the charts once Vega has been read. Whatever comes from a record is set as text, never as markup.
"use strict";
(() => {
  const PAGE = 50;
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const specs = JSON.parse(byId("specs").textContent);
  const place = Object.fromEntries(data.columns.map((column, k) => [column.name, k]));
  const [COMMAND, REASON, ENVIRONMENT, DEVICE, KERNEL, KEY, CONTENDED, UNSTEADY] = [0, 1, 2, 3, 4, 5, 6, 7];
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const shown = {
    text: (value) => value,
    count: (value) => String(value),
    share: (value) => value.toFixed(4),
    rate: (value) => (value >= 1000 ? whole.format(value) : value.toPrecision(4)),
    milli: (value) => (1000 * value).toPrecision(4),
    seconds: (value) => (value >= 1000 ? whole.format(value) : value.toPrecision(4)),
    small: (value) => value.toExponential(1),
  };
  const state = { search: "", chosen: {}, column: null, down: false, page: 0, open: new Set(), found: [] };
  const texts = data.rows.map((row, n) =>
    [...row, ...data.more[n].filter((value) => typeof value === "string")].join("\n").toLowerCase()
  );

  function element(name, properties = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key in made) made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  function select() {
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = Object.entries(state.chosen).filter(([, value]) => value !== "");
    const found = [];
    data.rows.forEach((row, n) => {
      if (
        chosen.every(([name, value]) => String(row[place[name]]) === value) &&
        words.every((word) => texts[n].includes(word))
      )
        found.push(n);
    });
    if (state.column !== null) {
      const k = place[state.column];
      const sign = state.down ? -1 : 1;
      found.sort((a, b) => {
        const [x, y] = [data.rows[a][k], data.rows[b][k]];
        if (x === null || y === null) return (x === null) - (y === null); // what is missing comes last
        return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
      });
    }
    state.found = found;
    state.page = 0;
    draw();
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(state.found.length / PAGE));
    const some = state.found.slice(state.page * PAGE, (state.page + 1) * PAGE);
    byId("run-rows").replaceChildren(...some.flatMap((n) => lines(n)));
    byId("count").textContent = `${whole.format(state.found.length)} of ${whole.format(data.rows.length)} runs`;
    byId("page").textContent = `Page ${state.page + 1} of ${pages}`;
    byId("back").disabled = state.page === 0;
    byId("on").disabled = state.page === pages - 1;
    for (const head of byId("heads").children) {
      const own = head.dataset.name !== undefined && head.dataset.name === state.column;
      head.setAttribute("aria-sort", own ? (state.down ? "descending" : "ascending") : "none");
    }
  }

  function lines(n) {
    const open = state.open.has(n);
    const row = data.rows[n];
    const about = `${row[place.backend]} ${row[place.cell]}, seed ${row[place.seed]}`;
    const button = element("button", {
      type: "button",
      textContent: open ? "−" : "+",
      "aria-expanded": String(open),
      "aria-label": `Command and environment of ${about}`,
    });
    button.addEventListener("click", () => {
      if (open) state.open.delete(n);
      else state.open.add(n);
      const at = state.found.indexOf(n) - state.page * PAGE;
      draw();
      byId("run-rows").querySelectorAll("button")[at].focus();
    });
    const made = element("tr", { className: row[place.status] === "ok" ? "" : "bad" }, element("td", {}, button));
    data.columns.forEach((column, k) => {
      let text = row[k] === null ? "–" : shown[column.kind](row[k]);
      if (column.name === "started") text = text.slice(0, 19).replace("T", " ");
      if (data.more[n][CONTENDED] && column.timed && row[k] !== null) text += ` ${data.mark}`;
      if (data.more[n][UNSTEADY] && column.ofWindows && row[k] !== null) text += ` ${data.unsteadyMark}`;
      made.append(element("td", { className: column.kind, textContent: text }));
    });
    return open ? [made, details(n)] : [made];
  }

  function details(n) {
    const more = data.more[n];
    const link = element("a", { href: `#environment-${more[ENVIRONMENT] + 1}` });
    link.textContent = `Environment ${more[ENVIRONMENT] + 1}`;
    link.addEventListener("click", () => setTimeout(opened)); // the hash may be what it was
    const pairs = [
      ["command", element("code", { textContent: more[COMMAND] })],
      ["reason", more[REASON]],
      ["device", more[DEVICE]],
      ["kernel", more[KERNEL]],
      ["others on its cores", more[CONTENDED] ? "yes: do not trust its timing" : null],
      ["unsteady", more[UNSTEADY] ? "yes: its fastest windows are more than 10 % above the median" : null],
      ["key", more[KEY]],
      ["where", link],
    ].filter(([, value]) => value !== null);
    const list = element("dl", { className: "pairs" });
    for (const [name, value] of pairs)
      list.append(element("div", {}, element("dt", { textContent: name }), element("dd", {}, value)));
    return element("tr", { className: "details" }, element("td", { colSpan: data.columns.length + 1 }, list));
  }

  function controls() {
    byId("heads").append(element("th", { scope: "col" }, element("span", { className: "unseen", textContent: "more" })));
    for (const column of data.columns) {
      const button = element("button", { type: "button", textContent: column.heading });
      button.addEventListener("click", () => {
        // numbers begin with the largest, words with the first
        const same = state.column === column.name;
        state.down = same ? !state.down : column.kind !== "text";
        state.column = column.name;
        select();
      });
      const head = element("th", { scope: "col", className: column.kind }, button);
      head.dataset.name = column.name;
      byId("heads").append(head);
    }
    for (const name of data.filters) {
      const values = [...new Set(data.rows.map((row) => row[place[name]]))].sort();
      const box = element("select", { id: `filter-${name}` }, element("option", { value: "", textContent: "all" }));
      for (const value of values) box.append(element("option", { value, textContent: value }));
      box.addEventListener("change", () => {
        state.chosen[name] = box.value;
        select();
      });
      byId("filters").append(element("label", {}, `${name} `, box));
    }
    byId("search").addEventListener("input", (event) => {
      state.search = event.target.value;
      select();
    });
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const [id, step] of [["back", -1], ["on", 1]])
      byId(id).addEventListener("click", () => {
        state.page += step;
        draw();
      });
    window.addEventListener("hashchange", opened);
    opened();
  }

  function opened() {
    const target = /^#environment-\d+$/.test(location.hash) && byId(location.hash.slice(1));
    if (target) target.parentElement.open = true;
  }

  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
  const CONFIG = {
    background: null,
    font: FONT,
    view: { stroke: null },
    axis: {
      domainColor: "var(--line)",
      tickColor: "var(--line)",
      gridColor: "var(--grid)",
      labelColor: "var(--muted)",
      titleColor: "var(--muted)",
      titleFontWeight: "normal",
      labelFontSize: 11,
      titleFontSize: 11,
      titlePadding: 6,
      labelLimit: 230,
    },
    axisBand: { domain: false, ticks: false, grid: false, labelColor: "var(--ink)" },
  };

  async function charts() {
    for (const [name, spec] of Object.entries(specs)) {
      const narrow = byId(name).clientWidth < 420;
      await vegaEmbed(byId(name), spec, {
        mode: "vega-lite",
        ast: true,
        actions: false,
        renderer: "svg",
        defaultStyle: false,
        tooltip: { disableDefaultStyle: true },
        config: narrow ? { ...CONFIG, axis: { ...CONFIG.axis, labelLimit: 110 } } : CONFIG,
      });
    }
    document.documentElement.dataset.drawn = Math.round(performance.now());
  }

  controls();
  select();
  document.documentElement.dataset.ready = Math.round(performance.now());
  document.addEventListener("DOMContentLoaded", charts);
})();
