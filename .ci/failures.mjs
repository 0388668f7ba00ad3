// A vitest reporter: writes the counts of passed and failed tests, and each failure's message, to the file named by
// CI_REPORT. The `json` reporter omits the diff of two values, and with it the content of a list that should be empty.
import fs from "node:fs";
import path from "node:path";
import { inspect, stripVTControlCharacters } from "node:util";

/** Most characters of each message: enough for the first fault and its seed. */
const MOST = 6_000;

// oxlint-disable-next-line import/no-default-export -- vitest looks for a reporter there
export default class Failures {
  onTestRunEnd(testModules, unhandledErrors) {
    const failures = unhandledErrors.map((error) => `Outside of all tests\n${describe(error)}`);
    const counts = { passed: 0, failed: 0 };
    for (const testModule of testModules) {
      const file = path.relative(process.cwd(), testModule.moduleId);
      const add = (name, errors = []) => {
        for (const error of errors) failures.push(`${file}${name}\n${describe(error)}`);
      };
      add("", testModule.errors());
      for (const suite of testModule.children.allSuites()) {
        add(` > ${suite.fullName}`, suite.errors());
      }
      for (const test of testModule.children.allTests()) {
        const { state, errors } = test.result();
        if (state === "passed") counts.passed += 1;
        if (state !== "failed") continue;
        counts.failed += 1;
        add(` > ${test.fullName}`, errors);
      }
    }
    fs.writeFileSync(process.env.CI_REPORT, JSON.stringify({ ...counts, failures }));
  }
}

/** The message, the diff and the location, without stack frames of other packages. */
function describe(error) {
  // Code can throw any value.
  const { name = "Error", message = inspect(error), diff, stack = "" } = error;
  const parts = [`${name}: ${message}`, diff].filter((part) => part !== undefined);
  const text = stripVTControlCharacters(parts.join("\n\n"));
  const frames = stack
    .split("\n")
    .filter((line) => /^\s+at /.test(line) && !/node_modules|node:|<anonymous>/.test(line));
  const rest = text.length - MOST;
  const shown = rest > 0 ? `${text.slice(0, MOST)} … and ${rest} characters more` : text;
  return [shown, ...frames].join("\n");
}
