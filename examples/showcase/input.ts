/** Longest text accepted from a client, in characters. */
const MAX_LENGTH = 200;
/** Longest name of a user, in characters. */
const MAX_NAME = 24;

/**
 * Reads one text from the body or the query of a request.
 *
 * @param input - The body or the parsed query, of any type.
 * @param field - Name of the field.
 * @returns The trimmed text; `undefined` if it is missing, empty or too long.
 */
export function readText(input: unknown, field: string): string | undefined {
  if (typeof input !== "object" || input === null) return undefined;
  const value = (input as Record<string, unknown>)[field];
  if (typeof value !== "string") return undefined;
  const text = value.trim();
  return text === "" || text.length > MAX_LENGTH ? undefined : text;
}

/** Like {@link readText}, for the name of a user. */
export function readName(input: unknown, field: string): string | undefined {
  const name = readText(input, field);
  return name === undefined || name.length > MAX_NAME ? undefined : name;
}

/** Reads the name of a user from the query of a URL; `undefined` if it is missing, empty or too long. */
export function readUser(url: string | undefined): string | undefined {
  const { searchParams } = new URL(url ?? "", "http://localhost");
  return readName(Object.fromEntries(searchParams), "user");
}
