/** Shows progress: in one updated line on a terminal, otherwise in one line per step. */
export class Progress {
  readonly #isTerminal = process.stderr.isTTY;

  tell(text: string): void {
    if (!this.#isTerminal) return void process.stderr.write(`  ${text}\n`);
    const width = process.stderr.columns;
    process.stderr.write(`\r\u001b[K${text.slice(0, width - 1)}`);
  }

  /** Clears the line for other output. */
  clear(): void {
    if (this.#isTerminal) process.stderr.write("\r\u001b[K");
  }
}
