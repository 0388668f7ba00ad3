/** The tile "Weather". */
import { $ } from "./elements.js";

/** Shows the weather of a city, in place of what the page has of it. */
export function showWeather({ city, temperature, sky }) {
  const before = [...$("weather").children].find((item) => item.dataset.city === city);
  const item = document.createElement("li");
  item.dataset.city = city;
  item.innerHTML = `<svg aria-hidden="true"><use></use></svg>
    <span><span class="city"></span><span class="sky"></span></span><span class="degrees"></span>`;
  item.querySelector("use").setAttribute("href", `#sky-${sky}`);
  item.querySelector(".city").textContent = city;
  item.querySelector(".sky").textContent = sky;
  item.querySelector(".degrees").textContent = `${temperature.toFixed(1).replace("-", "−")} °C`;
  if (before === undefined) {
    $("weather").append(item);
  } else {
    item.className = "changed";
    before.replaceWith(item);
  }
}
