/** Something that whoever has started the demo can put right: the message says how. */
export class StartError extends Error {}
