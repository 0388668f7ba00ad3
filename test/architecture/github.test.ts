// Checks files that only GitHub reads: workflows, issue forms and the configuration of Dependabot.
import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { PACKAGES, readText } from "./sources.js";

type Fields = Readonly<Record<string, unknown>>;

const { homepage } = JSON.parse(readText("package.json")) as { homepage: string };
const WORKFLOWS = filesIn(".github/workflows");
const FORMS = filesIn(".github/ISSUE_TEMPLATE").filter((file) => !file.endsWith("/config.yml"));

function filesIn(folder: string): string[] {
  return readdirSync(new URL(`../../${folder}`, import.meta.url)).map(
    (name) => `${folder}/${name}`,
  );
}

/** Reads a YAML file with a single document, without errors or warnings. */
function readYaml(file: string): Fields {
  const [document, ...rest] = parseAllDocuments(readText(file));
  if (document === undefined || "empty" in document) throw new Error(`${file} is empty`);
  expect([...document.errors, ...document.warnings]).toEqual([]);
  expect(rest).toEqual([]);
  return document.toJS() as Fields;
}

it("Every address of the project is that of the root's package.json", () => {
  const files = ["SECURITY.md", "CODE_OF_CONDUCT.md", ...filesIn(".github/ISSUE_TEMPLATE")];
  const addresses = files.flatMap(
    (file) => readText(file).match(/https:\/\/github\.com\/[\w-]+\/[\w-]+/g) ?? [],
  );
  expect(new Set(addresses)).toEqual(new Set([homepage.slice(0, -"#readme".length)]));
});

describe.each(WORKFLOWS)("%s", (file) => {
  const text = readText(file);
  const workflow = readYaml(file) as { permissions: Fields; jobs: Record<string, Fields> };

  it("pins every action to a commit and names its version", () => {
    const actions = text.match(/(?<=uses: )(?!\.\/).*/g) ?? [];
    expect(actions.length).toBeGreaterThan(0);
    for (const action of actions) {
      expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    }
  });

  it("lets no step keep the token of the checkout", () => {
    expect(text.match(/persist-credentials: false/g)).toHaveLength(
      text.match(/actions\/checkout@/g)?.length ?? 0,
    );
  });

  it("gives every job a time limit", () => {
    const jobs = Object.values(workflow.jobs).filter((job) => !("uses" in job));
    expect(jobs.filter((job) => typeof job["timeout-minutes"] !== "number")).toEqual([]);
  });

  it("gives write permissions only to the jobs that publish and tag", () => {
    const granted = [
      ["", workflow.permissions],
      ...Object.entries(workflow.jobs).map(([name, { permissions = {} }]) => [name, permissions]),
    ] as [string, Fields][];
    const writes = granted.flatMap(([name, permissions]) =>
      Object.entries(permissions).flatMap(([scope, access]) =>
        access === "read" ? [] : [`${name}: ${scope} ${String(access)}`],
      ),
    );
    expect(writes).toEqual(
      file.endsWith("/release.yml") ? ["publish: id-token write", "tag: contents write"] : [],
    );
  });

  it("runs only scripts and files that exist", () => {
    const { scripts } = JSON.parse(readText("package.json")) as { scripts: Fields };
    const own = [...text.matchAll(/pnpm@10 (?!install)([\w:-]+)/g)].map(([, script]) => script);
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(own));
    for (const [, path] of text.matchAll(/(?:run|uses): (?:\.\/)?(\.[\w./-]+)/g)) {
      expect(existsSync(new URL(`../../${path}`, import.meta.url)), path).toBe(true);
    }
  });
});

// https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/syntax-for-githubs-form-schema
describe.each(FORMS)("The form %s", (file) => {
  /** Attributes that an element may have besides `type` and `id`, and those that GitHub requires. */
  const ELEMENTS: Record<string, { attributes: string[]; required: string[] }> = {
    markdown: { attributes: ["value"], required: ["value"] },
    input: { attributes: ["label", "description", "placeholder", "value"], required: ["label"] },
    textarea: {
      attributes: ["label", "description", "placeholder", "value", "render"],
      required: ["label"],
    },
    dropdown: {
      attributes: ["label", "description", "multiple", "options", "default"],
      required: ["label", "options"],
    },
    checkboxes: { attributes: ["label", "description", "options"], required: ["label", "options"] },
  };
  const form = readYaml(file) as { body: { type: string; id?: string; attributes: Fields }[] };

  it("has a name, a description and a body, and only keys that GitHub knows", () => {
    expect(form).toMatchObject({ name: expect.any(String), description: expect.any(String) });
    const known = [
      "name",
      "description",
      "title",
      "labels",
      "assignees",
      "projects",
      "type",
      "body",
    ];
    expect(known).toEqual(expect.arrayContaining(Object.keys(form)));
  });

  it("has elements of known types, with the attributes of their type", () => {
    for (const { type, attributes } of form.body) {
      const element = ELEMENTS[type];
      expect(element, type).toBeDefined();
      expect(element?.attributes).toEqual(expect.arrayContaining(Object.keys(attributes)));
      expect(Object.keys(attributes)).toEqual(expect.arrayContaining(element?.required ?? []));
    }
  });

  it("has an id for every field, and each id and label once", () => {
    const fields = form.body.filter(({ type }) => type !== "markdown");
    for (const { id } of fields) expect(id).toMatch(/^[\w-]+$/);
    expect(new Set(fields.map(({ id }) => id)).size).toBe(fields.length);
    expect(new Set(fields.map(({ attributes }) => attributes["label"])).size).toBe(fields.length);
  });

  it("lists every package", () => {
    const lists = form.body.filter(({ id }) => id === "packages");
    for (const { attributes } of lists) {
      expect(attributes["options"]).toEqual(PACKAGES.map((name) => `@tidewire/${name}`));
    }
  });
});

it("Dependabot's configuration is of version 2 and watches npm and the actions", () => {
  const { version, updates } = readYaml(".github/dependabot.yml") as Fields & { updates: Fields[] };
  expect(version).toBe(2);
  expect(updates.map((update) => update["package-ecosystem"])).toEqual(["npm", "github-actions"]);
});
