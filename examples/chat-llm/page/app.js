/** Path of this chat, which is also its address for other tabs and devices. */
const CHAT = location.pathname;
/** Time for which the button cuts the tab off, in milliseconds. */
const CUT_MS = 5_000;
/** Time until the page asks again after the server refused its stream, in milliseconds. */
const RETRY_MS = 3_000;

const STATES = {
  writing: "Writing",
  away: "This tab is cut off. The answer goes on without it",
  reconnecting: "Reconnecting",
  done: "Complete",
  stopped: "Stopped",
  failed: "The model failed",
  lost: "The node that wrote this has died",
  gone: "No longer kept by the server",
};

const $ = (id) => document.getElementById(id);

/** Position of the page in the chat's channel: the last question that it has. */
let chatPosition = "";
/** The answer that is being read: `undefined` between two answers. */
let current;
/** Whether the end of the messages is in view. */
let isAtEnd = true;

/** Reads the chat, question by question. */
async function readChat() {
  // One stream at a time: a browser opens only six connections to a server, for all of its tabs together.
  for (;;) {
    const question = await nextQuestion();
    // After a reset the server repeats the latest questions.
    if ($(question.id) === null) await readAnswer(question);
  }
}

/** Waits for a question, from any tab of this chat. */
function nextQuestion() {
  return new Promise((resolve) => {
    const stream = new EventSource(withPosition(`${CHAT}/questions`, chatPosition));
    const on = (type, listener) =>
      stream.addEventListener(type, (event) => {
        chatPosition = event.lastEventId;
        listener?.(event);
      });
    on("sse-cursor");
    on("sse-reset", () => addNotice("The server no longer has all questions of this chat."));
    on("asked", ({ data }) => {
      stream.close();
      resolve(JSON.parse(data));
    });
    stream.onopen = () => showState("open", "connected");
    stream.onerror = () => {
      showState("reconnecting", "reconnecting");
      // The server refused the stream, and EventSource has given up.
      if (stream.readyState === EventSource.CLOSED) {
        setTimeout(() => void nextQuestion().then(resolve), RETRY_MS);
      }
    };
  });
}

/** Shows a question and its answer: a finished one at once, one that is being written as it comes. */
async function readAnswer({ id, text, by }) {
  current = new Answer(id, text, by);
  showComposer();
  await current.read();
  current = undefined;
  showComposer();
}

/** One answer on the page, and its stream. */
class Answer {
  item = document.createElement("li");
  #stream;
  #onEnd;
  /** Position of the page in the answer: the id of the last token that has come. */
  #position = "";
  /** Number of the last token. */
  #tokens = 0;
  /** How often a token was not the next one. */
  #faults = 0;
  /** How often the page has come back to this answer. */
  #returns = 0;
  #isOver = false;

  constructor(id, question, by) {
    this.url = `${CHAT}/answers/${id}`;
    this.question = question;
    this.by = by;
    this.item.id = id;
    this.item.innerHTML = `<p class="question"></p>
      <div class="answer" aria-busy="true"><p class="text"></p><p class="outcome"><span></span></p></div>`;
    this.item.querySelector(".question").textContent = question;
    $("suggestions").hidden = true;
    $("messages").append(this.item);
    isAtEnd = true;
    followEnd();
  }

  /** Resolves when the answer has ended. */
  read() {
    return new Promise((resolve) => {
      this.#onEnd = resolve;
      this.#connect();
    });
  }

  /** Leaves the answer. It is written on meanwhile. */
  leave() {
    this.#stream.close();
    this.#show("away");
  }

  /** Goes on behind the last token that has come. */
  comeBack() {
    if (this.#isOver) return;
    this.#returns += 1;
    this.#connect();
  }

  #connect() {
    this.#stream?.close();
    const stream = new EventSource(withPosition(this.url, this.#position));
    this.#stream = stream;
    let hasOpened = false;
    stream.onopen = () => {
      if (hasOpened) this.#returns += 1;
      hasOpened = true;
      this.#show("writing");
    };
    stream.onmessage = ({ data, lastEventId }) => this.#add(data, lastEventId);
    stream.addEventListener("end", ({ data }) => this.#end(data));
    stream.onerror = () => {
      if (stream.readyState !== EventSource.CLOSED) this.#show("reconnecting");
      // 204: the server has nothing of this answer any more.
      else this.#end(this.#tokens === 0 ? "gone" : "lost");
    };
  }

  #add(token, id) {
    // The id ends in the number of the token: 1, 2, 3 and so on.
    const number = Number(id.slice(id.lastIndexOf(".") + 1));
    if (number !== this.#tokens + 1) this.#faults += 1;
    this.#tokens = number;
    this.#position = id;
    this.item.querySelector(".text").append(token);
    this.#show("writing");
  }

  #end(outcome) {
    this.#isOver = true;
    this.#stream.close();
    this.#show(outcome);
    this.#onEnd();
  }

  #show(state) {
    const answer = this.item.querySelector(".answer");
    const hasChanged = answer.dataset.state !== state;
    const isAway = ["away", "reconnecting"].includes(state);
    answer.dataset.state = state;
    answer.setAttribute("aria-busy", String(isAway || state === "writing"));
    const parts = [
      STATES[state],
      this.#tokens > 0 && `${this.#tokens} tokens`,
      this.#returns > 0 && `back ${this.#returns === 1 ? "once" : `${this.#returns} times`}`,
      this.#returns > 0 &&
        this.#faults === 0 &&
        ["writing", "done"].includes(state) &&
        "nothing missed",
      this.#faults > 0 && `${this.#faults} tokens missing or twice`,
      state === "writing" && this.by && `by ${this.by.name}, process ${this.by.pid}`,
    ];
    answer.querySelector(".outcome span").textContent = parts.filter(Boolean).join(" · ");
    if (hasChanged) {
      showState(isAway ? "reconnecting" : "open", isAway ? "cut off" : "connected");
      showComposer();
      if (["stopped", "failed", "lost"].includes(state)) this.#offerAgain(answer);
    }
    followEnd();
  }

  #offerAgain(answer) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Ask again";
    button.onclick = () => void ask(this.question);
    answer.querySelector(".outcome").append(button);
  }
}

/** @returns Whether the server has accepted the question. It then comes back through the chat's channel. */
function ask(text) {
  return act("POST", `${CHAT}/questions`, { text });
}

async function act(method, url, body) {
  $("note").textContent = "";
  try {
    const response = await fetch(url, {
      method,
      ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return true;
  } catch (error) {
    $("note").textContent = `That did not work: ${error.message}. Try again.`;
    return false;
  }
}

function withPosition(path, position) {
  // EventSource sends the header only when it reconnects by itself. A new one needs the query parameter.
  return position === "" ? path : `${path}?lastEventId=${encodeURIComponent(position)}`;
}

function showState(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
}

function showComposer() {
  const isWriting = current !== undefined;
  $("send").hidden = isWriting;
  $("stop").hidden = !isWriting;
  $("cut").disabled = !isWriting || $("state").dataset.state !== "open";
  $("kill").disabled = current?.by === undefined;
}

function addNotice(text) {
  const item = document.createElement("li");
  item.className = "notice";
  item.textContent = text;
  $("messages").append(item);
  followEnd();
}

/** Follows the text, unless the reader has scrolled up. Called after each change. */
function followEnd() {
  const list = $("messages");
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

$("ask").onsubmit = async (event) => {
  event.preventDefault();
  if (current === undefined && (await ask($("question").value))) $("question").value = "";
};
for (const button of $("suggestions").querySelectorAll("button")) {
  button.onclick = () => void ask(button.textContent);
}
$("stop").onclick = () => void act("DELETE", current?.url);
$("kill").onclick = () => void act("POST", `/kill?pid=${current?.by?.pid}`);
$("cut").onclick = () => {
  const answer = current;
  answer?.leave();
  setTimeout(() => answer?.comeBack(), CUT_MS);
};
// Airplane mode. By itself a browser may notice late that its stream is dead, and that the network is back.
addEventListener("offline", () => current?.leave());
addEventListener("online", () => current?.comeBack());
$("reload").onclick = () => location.reload();
$("messages").onscroll = () => {
  const { scrollHeight, scrollTop, clientHeight } = $("messages");
  isAtEnd = scrollHeight - scrollTop - clientHeight < 16;
};
// The keyboard of a phone makes the list smaller.
new ResizeObserver(followEnd).observe($("messages"));
$("second").href = location.href;
// Other devices cannot reach this machine under these names.
if (!["localhost", "127.0.0.1"].includes(location.hostname)) {
  $("address").textContent = location.href;
}
// On a phone the chat comes first.
if (matchMedia("(max-width: 56rem)").matches) $("try").open = false;

void readChat();
