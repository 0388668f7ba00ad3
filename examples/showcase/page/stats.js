/** The tile "Both servers, last minute". */
import { $ } from "./elements.js";

/** Number of seconds that the charts show. */
const SECONDS = 60;

/** The last minute of the `stats` channel. */
let samples = [];

/** Drops the samples. A history follows. */
export function forgetStats() {
  samples = [];
}

/** The last minute, so that a new page has something to draw. */
export function showHistory(history) {
  samples = history.slice(0, -1);
  showStats(history.at(-1));
}

/** Adds the sample of a second. */
export function showStats(sample) {
  samples = [...samples.slice(1 - SECONDS), sample];
  $("sessions").textContent = sample.sessions.toLocaleString("en");
  $("events").textContent = sample.events.toLocaleString("en");
  const seconds = (name) => [
    ...Array.from({ length: SECONDS - samples.length }, () => undefined),
    ...samples.map((each) => each[name]),
  ];
  drawChart($("sessions-chart"), seconds("sessions"), true);
  drawChart($("events-chart"), seconds("events"));
}

/** Draws one value per second into a chart. Leading `undefined`s stand for seconds before the first value. */
function drawChart(svg, values, isStepped = false) {
  const { width, height } = svg.viewBox.baseVal;
  const top = Math.max(4, ...values.filter((value) => value !== undefined));
  const x = (index) => ((index / (values.length - 1)) * width).toFixed(1);
  const y = (value) => (height - 2 - (value / top) * (height - 4)).toFixed(1);
  const first = values.findIndex((value) => value !== undefined);
  let line = `M${x(first)} ${y(values[first])}`;
  for (let index = first + 1; index < values.length; index++) {
    line += isStepped ? `H${x(index)}V${y(values[index])}` : `L${x(index)} ${y(values[index])}`;
  }
  svg.querySelector(".line").setAttribute("d", line);
  svg.querySelector(".area").setAttribute("d", `${line}V${height}H${x(first)}Z`);
}
