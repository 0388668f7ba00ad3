import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";

/** The calls that a process answers: functions of one value that can be sent. */
export type Protocol<Shape> = { readonly [Name in keyof Shape]: (argument: never) => unknown };

type Argument<Fn> = Fn extends (argument: infer Given) => unknown ? Given : never;
type Result<Fn> = Fn extends (argument: never) => infer Given ? Awaited<Given> : never;

interface Call {
  readonly name: string;
  readonly argument: unknown;
  /** Absent: no answer is expected. */
  readonly ticket?: number;
}

type Answer =
  | { readonly ticket: number; readonly value?: unknown; readonly error?: string }
  | { readonly notice: string; readonly value: unknown };

/**
 * A child process of the benchmark, and calls to it.
 */
export class Remote<Shape extends Protocol<Shape>> {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #pending = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >();
  readonly #exited: Promise<void>;
  #tickets = 0;
  #isStopping = false;
  /** Called for unsolicited notices of the process. */
  onNotice: (notice: string, value: unknown) => void = () => {};
  /** Called if the process ends by itself. */
  onCrash: (error: Error) => void = () => {};

  /**
   * @param name - For error messages.
   * @param program - Its main module.
   * @param execArgv - Flags for Node.
   */
  constructor(name: string, program: URL, execArgv: readonly string[] = []) {
    this.#name = name;
    this.#child = fork(program, { execArgv: [...execArgv], stdio: ["ignore", 2, 2, "ipc"] });
    this.#child.on("message", (answer: Answer) => this.#answered(answer));
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        this.#ended(`${name} ended by itself (${signal ?? `status ${code}`})`);
        resolve();
      });
    });
    this.#child.once("error", (error) => this.#ended(`${name}: ${error.message}`));
  }

  /** Calls and waits for the answer. */
  call<Name extends keyof Shape & string>(
    name: Name,
    argument: Argument<Shape[Name]>,
  ): Promise<Result<Shape[Name]>> {
    const ticket = ++this.#tickets;
    return new Promise((resolve, reject) => {
      this.#pending.set(ticket, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ name, argument, ticket } satisfies Call);
    });
  }

  /** Calls without expecting an answer. */
  tell<Name extends keyof Shape & string>(name: Name, argument: Argument<Shape[Name]>): void {
    this.#child.send({ name, argument } satisfies Call);
  }

  /** Lets the process end by itself, so that it writes its CPU profile; kills it if it does not. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 15_000);
    await this.#exited;
    clearTimeout(timer);
  }

  #answered(answer: Answer): void {
    if ("notice" in answer) return this.onNotice(answer.notice, answer.value);
    const waiting = this.#pending.get(answer.ticket);
    this.#pending.delete(answer.ticket);
    if (answer.error === undefined) waiting?.resolve(answer.value);
    else waiting?.reject(new Error(`${this.#name}: ${answer.error}`));
  }

  #ended(message: string): void {
    if (this.#isStopping) return;
    const error = new Error(message);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.onCrash(error);
  }
}

/**
 * Makes this process answer calls, and exit when its parent disconnects.
 *
 * @param handlers - One function per call.
 */
export function serve<Shape extends Protocol<Shape>>(handlers: Shape): void {
  process.on("message", ({ name, argument, ticket }: Call) => {
    const handler = handlers[name as keyof Shape] as unknown as (argument: unknown) => unknown;
    const result = new Promise((resolve) => resolve(handler(argument)));
    if (ticket === undefined) return;
    result.then(
      (value) => reply({ ticket, value }),
      (error: unknown) => reply({ ticket, error: String(error) }),
    );
  });
  // `process.exit` writes the profile of --cpu-prof, which a signal would not.
  process.once("disconnect", () => process.exit(0));
  // Ctrl-C reaches the whole group; the parent ends this process.
  process.on("SIGINT", () => {});
}

/** Sends an unsolicited notice. */
export function notify(notice: string, value: unknown): void {
  reply({ notice, value });
}

function reply(value: Answer): void {
  // A parent that has gone does not need the answer.
  process.send?.(value, () => {});
}

/** @returns Milliseconds on a clock shared by all processes of a machine. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
