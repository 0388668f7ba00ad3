/** Adds the symbols of `using` and `await using` where the realm lacks them, as TypeScript asks of a polyfill. */

/** Call it before a class with such a method. Node 20 has both symbols, but the sandbox of a test runner may not. */
export function addDisposeSymbols(): void {
  for (const name of ["dispose", "asyncDispose"] as const) {
    if ((Symbol as Partial<SymbolConstructor>)[name] !== undefined) continue;
    Object.defineProperty(Symbol, name, { value: Symbol(`Symbol.${name}`) });
  }
}
