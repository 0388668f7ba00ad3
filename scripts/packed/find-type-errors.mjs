// Started by module-settings.mjs: checks projects with a compiler that has a JavaScript API, and writes their errors as
// JSON. Of all packages, only ours are checked: errors inside foreign declarations are not ours to fix.
import { createRequire } from "node:module";
import path from "node:path";

const [compiler, ...configs] = process.argv.slice(2);
const ts = createRequire(import.meta.url)(compiler);
/** Parsed files of packages, by path and format, because parsing takes most of the time. */
const parsed = new Map();
console.log(JSON.stringify(Object.fromEntries(configs.map((file) => [file, errorsOf(file)]))));

function errorsOf(file) {
  const folder = path.dirname(file);
  const { config } = ts.readConfigFile(file, ts.sys.readFile);
  const { options, errors } = ts.convertCompilerOptionsFromJson(config.compilerOptions, folder);
  const program = ts.createProgram(
    config.files.map((name) => path.join(folder, name)),
    options,
    cachingHost(options, folder),
  );
  return [
    ...errors,
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...program
      .getSourceFiles()
      .filter(({ fileName }) => isOurs(fileName))
      .flatMap((source) => [
        ...program.getSyntacticDiagnostics(source),
        ...program.getSemanticDiagnostics(source),
      ]),
  ].map((diagnostic) => {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
    const where = diagnostic.file?.fileName ?? path.basename(file);
    return `${path.relative(folder, where)}: error TS${diagnostic.code}: ${text}`;
  });
}

function isOurs(fileName) {
  return !fileName.includes("/node_modules/") || fileName.includes("/node_modules/@tidewire/");
}

function cachingHost(options, folder) {
  const host = ts.createCompilerHost(options);
  const parse = host.getSourceFile;
  host.getCurrentDirectory = () => folder;
  host.getSourceFile = (fileName, how, ...rest) => {
    if (isOurs(fileName)) return parse(fileName, how, ...rest);
    const key = `${fileName} ${how.impliedNodeFormat}`;
    if (!parsed.has(key)) parsed.set(key, parse(fileName, how, ...rest));
    return parsed.get(key);
  };
  return host;
}
