/** Elements of the page by their ID, and the format of times. */

/** @returns {any} The element with an ID. */
export const $ = (id) => document.getElementById(id);

/** Formats a time as `13:05:09`. */
export const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
