/** Tells the person who waits what is going on: in one line of a terminal, or in a line for each step elsewhere. */
export class Progress {
  readonly #isTerminal = process.stderr.isTTY;

  tell(text: string): void {
    if (!this.#isTerminal) return void process.stderr.write(`  ${text}\n`);
    const width = process.stderr.columns;
    process.stderr.write(`\r\u001b[K${text.slice(0, width - 1)}`);
  }

  /** Leaves the line free for what follows. */
  clear(): void {
    if (this.#isTerminal) process.stderr.write("\r\u001b[K");
  }
}
