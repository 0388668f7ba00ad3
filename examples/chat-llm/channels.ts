/** The channels of the chat demo: one for each chat, with the questions that were asked in it. */
export type Channels = { [chat: `chat:${string}`]: { asked: Question } };

/** A question, as every page of its chat receives it. */
export interface Question {
  /** Names the answer within the chat. */
  readonly id: string;
  readonly text: string;
  /** The node that writes the answer; absent if there is only one. */
  readonly by?: Producer | undefined;
}

/** Name and process id of a node. */
export interface Producer {
  readonly name: string;
  readonly pid: number;
}
