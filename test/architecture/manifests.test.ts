// Requirements for package.json before a package can be published.
import { describe, expect, it } from "vitest";
import { PACKAGES, readText } from "./sources.js";

type Fields = Readonly<Record<string, unknown>>;

const ROOT = JSON.parse(readText("package.json")) as { readonly homepage: string };
/** URL of the project. The root's package.json is the only place to change it. */
const HOME = ROOT.homepage.slice(0, -"#readme".length);

function manifestOf(name: string): Fields {
  return JSON.parse(readText(`packages/${name}/package.json`)) as Fields;
}

describe.each(PACKAGES)("The package %s", (name) => {
  const manifest = manifestOf(name);

  it("names its repository and where to report bugs", () => {
    expect(manifest).toMatchObject({
      homepage: `${HOME}/tree/main/packages/${name}#readme`,
      bugs: { url: `${HOME}/issues` },
      repository: { type: "git", url: `git+${HOME}.git`, directory: `packages/${name}` },
      license: "MIT",
    });
    expect(manifest["keywords"]).toContain("server-sent-events");
  });

  it("is published publicly, with provenance, and without install scripts", () => {
    expect(manifest).toMatchObject({ publishConfig: { access: "public", provenance: true } });
    expect(manifest).not.toHaveProperty("private");
    expect(manifest).not.toHaveProperty("scripts");
  });
});

it("All packages have the same version", () => {
  expect(new Set(PACKAGES.map((name) => manifestOf(name)["version"])).size).toBe(1);
});
