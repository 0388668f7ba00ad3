// Draws the graphs that the server reads from Prometheus.

const COLORS = [
  "#0b84a5",
  "#e07a1f",
  "#5a9e3d",
  "#c0392b",
  "#8e5bb5",
  "#b8860b",
  "#3d6fb4",
  "#888",
];
const WIDTH = 300;
const HEIGHT = 120;

const state = document.querySelector("#state");
const main = document.querySelector("main");

/** Writes a value with the unit of its graph. */
function format(value, unit) {
  if (unit === "s")
    return value < 1 ? `${(value * 1_000).toPrecision(3)} ms` : `${value.toFixed(1)} s`;
  const text = new Intl.NumberFormat("en", {
    notation: "compact",
    maximumSignificantDigits: 3,
  }).format(value);
  if (unit === "bytes") return `${text} B`;
  if (unit === "Bps") return `${text} B/s`;
  return unit === "cps" ? `${text}/s` : text;
}

function element(name, attributes = {}, ...children) {
  const isSvg = name === "svg" || name === "polyline";
  const made = isSvg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function draw({ title, unit, series }, end) {
  const max = Math.max(0, ...series.flatMap(({ points }) => points.map(([, value]) => value)));
  const x = (at) => WIDTH - ((end - at) / 300) * WIDTH;
  const y = (value) => HEIGHT - 2 - (value / (max || 1)) * (HEIGHT - 6);
  const lines = series.map(({ points }, n) =>
    element("polyline", {
      points: points.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
      stroke: COLORS[n % COLORS.length],
    }),
  );
  const names = series.map(({ name, points }, n) =>
    element(
      "li",
      { style: `--color: ${COLORS[n % COLORS.length]}` },
      `${name} ${points.length === 0 ? "" : format(points.at(-1)[1], unit)}`,
    ),
  );
  const attributes = {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
  };
  return element(
    "figure",
    {},
    element("figcaption", {}, title, element("span", { class: "max" }, format(max, unit))),
    element("svg", { ...attributes, "aria-label": title }, ...lines),
    element("ul", {}, ...names),
  );
}

async function refresh() {
  const response = await fetch("graphs");
  const { isInstalled, rows, alerts } = await response.json();
  if (!isInstalled) {
    state.textContent =
      "Prometheus is not installed, so there are no graphs. The metrics themselves are at /metrics.";
    return;
  }
  if (response.ok && rows.some(({ graphs }) => graphs.some(({ series }) => series.length > 0))) {
    const end = Math.floor(Date.now() / 1_000);
    state.textContent = `The last five minutes. ${alerts.length === 0 ? "No alert fires." : `Alerts: ${alerts.join(", ")}.`}`;
    main.replaceChildren(
      ...rows.flatMap(({ title, graphs }) => [
        element("h2", {}, title),
        element("div", { class: "row" }, ...graphs.map((graph) => draw(graph, end))),
      ]),
    );
  }
  setTimeout(refresh, 2_000);
}

await refresh();
