// Patterns of English that we avoid, and words that have a better name in this project. They are precise rather than complete:
// a sentence without a hit may still be bad.

/** Where a sentence begins, and where a clause does. */
const SENTENCE = String.raw`(?:^|[.!?] +)`;
const CLAUSE = String.raw`(?:${SENTENCE}|[:;] +|\( *)`;
const FINITE = String.raw`\b(?:is|are|was|were|has|have|goes|comes|belongs|gets|counts)\b`;

/**
 * Each with the `name` that a hit is printed with, what to write `instead`, and its expression. `isOfTitles: false` leaves out
 * headings and cells of tables, which may begin with a question word.
 */
export const PATTERNS = [
  {
    name: "a sentence that begins with what, who or whoever",
    instead: "name the subject",
    // With a question mark it is a question, and "what to do" needs no subject.
    expression: new RegExp(
      String.raw`${SENTENCE}(?:what (?!to\b|if\b)|whoever |who )[^.;:?]*(?=[.;:]|$)`,
      "gi",
    ),
    isOfTitles: false,
  },
  {
    name: "a clause with what, who or whoever as its subject",
    instead: "name the subject",
    // With one verb it is no clause but a noun: "`entry`: what runs inside Redis".
    expression: new RegExp(
      String.raw`[:;(] *(?:what (?!to\b|if\b)|who )[^.;:?]*${FINITE}[^.;:?]*${FINITE}|[:;,(] *whoever `,
      "gi",
    ),
    isOfTitles: false,
  },
  {
    name: "is told, is found out, is seen to",
    instead: "an active verb",
    expression:
      /\b(?:is|are|was|were|be|been|being|gets?) (?:told(?! apart)|found out|seen to)\b/gi,
  },
  {
    name: "is to be",
    instead: "must, should, or an imperative",
    expression: /\b(?:is|are|was|were) (?:not )?to be\b/gi,
  },
  {
    name: "nobody",
    instead: "no client …, no caller …",
    // "When nobody subscribes" is plain English.
    expression: /(?<!\b(?:when|if|while|until|because|as) )\b(?:nobody|no one)\b/gi,
  },
  {
    name: "nothing as a subject",
    instead: "does not …, no … is",
    // "Nothing is written" is plain English.
    expression: new RegExp(
      String.raw`(?:${CLAUSE}|, |\b(?:and|but|that|if|when|while|where|until|because|or|then|which) )nothing (?:else |more |(?:of|that|in) [^.,;:]{1,60}? )?(?:may|can|must|will|would|needs?|comes?|goes|gets?|follows?|arrives?|reaches|waits?|listens|changes?|leaves?|stays?|belongs?|begins?|asks?|knows?|sees?|hears?|holds?|takes?|stands?)\b`,
      "gi",
    ),
  },
  {
    name: "none as a subject or a predicate",
    instead: "no … is, does not",
    expression:
      /\bnone (?:is|are|was|were|has|have|may|can|will|does|do)\b|\bnone of (?:it|them|these|those|this|that|its|their|our|the) |(?<!\bthere )\b(?:is|are|was|were) none\b/gi,
  },
  {
    name: "so for therefore",
    instead: "a new sentence, or because",
    expression: new RegExp(
      String.raw`${SENTENCE}so,? (?!that\b|far\b|long\b|much\b|many\b|do\b|does\b|is\b|are\b|\w+ that\b)`,
      "gi",
    ),
  },
  {
    name: "so as a predicate",
    instead: "the case itself",
    expression:
      /\b(?:is|are|was|were|stays?|remains?) so\b(?=[.,;:]|$| (?:only|until|when|while|if|for|in|on)\b)/gi,
  },
  {
    name: "as ever",
    instead: "as before, or leave it out",
    expression: /(?<!\b(?:good|much|soon) )\bas ever\b/gi,
  },
  {
    name: "of its own",
    instead: "its own …, a separate …",
    // "The streams of its own server" and "a log of your own" are plain English.
    expression:
      /\bof (?:its|their|our|one's|his) own\b(?=\s*(?:[.,;:)(]|$)|\s+(?:to|and|or|with|for|from|in|on|at|by|which|that|is|are|was|were|has|have|each|so|but|before|when|while|if|it|than|as|under|after|until)\b)/gi,
  },
  {
    name: "at the price of",
    instead: "but …",
    expression: /\bat (?:the|a) price of\b|\bat no cost\b/gi,
  },
  {
    name: "behind for after",
    instead: "after",
    // A client falls or lags behind something in plain English, and a server is behind a proxy.
    expression:
      /(?<!\b(?:is|are|was|were|be|falls?|fell|fallen|lags?|lagged|lagging) )\bbehind (?:the|its|a|an|that|this) (?:events?|snapshots?|resets?|head|entry|cursor|state)\b/gi,
  },
  {
    name: "all the same for anyway",
    instead: "anyway",
    expression: /(?<!\b(?:is|are|was|were|be) )\ball the same\b(?=[.,;:)]|$)/gi,
  },
  {
    name: "carries on",
    instead: "continues",
    expression: /\bcarr(?:y|ies|ied) on\b/gi,
  },
  {
    name: "what it may be",
    instead: "is invalid",
    expression: /\bnot (?:what|as) (?:it|they) (?:may|must|should) be\b/gi,
  },
  ...findWords({
    feed: "event stream",
    eventName: "event type",
    topic: "channel",
    topics: "channel",
    payload: "data",
    payloads: "data",
    lastId: "last event ID",
    retryDelay: "reconnection time",
    keepAlive: "heartbeat",
    packet: "frame",
    packets: "frame",
    peer: "client",
    peers: "client",
    broadcast: "publish",
    broadcasts: "publish",
    backlog: "log, window",
    greeting: "welcome",
    broker: "admission",
  }),
];

/** "Line feed" and "peer dependency" are names of other things. */
function findWords(list) {
  return Object.entries(list).map(([word, instead]) => ({
    name: `the word ${word}`,
    instead,
    expression: new RegExp(String.raw`(?<!\bline )\b${word}\b(?! dependenc)`, "gi"),
  }));
}
