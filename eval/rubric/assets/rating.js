// What is asked in which order, what was answered, and the file it is saved to.

const data = JSON.parse(document.getElementById("data").textContent);
const isAbsolute = data.mode === "absolute";
const GROUNDS = ["grey", "light", "dark", "green"];
const BIG_PX = 352;
const KEY = `rubric/${data.page}`;
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}_ .-]{0,39}$/u;
const byId = (id) => document.getElementById(id);

let steps = [];
// What is kept: answers by "step/question", what undo needs to take them back, and how often it was
// kept, by which tabs know what is newer.
let state = { rater: "", started: "", answers: {}, history: [], ground: 0, turn: 0 };
let at = 0;
let question = 0;
let shownAt = 0;

// --- Each rater's own order -------------------------------------------------------------------

// FNV-1a turns the name into a seed; the generator is Mulberry32. Both are 32-bit integer sums,
// so that every browser draws the same order.
function generator(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return () => {
    hash = (hash + 0x6d2b79f5) | 0;
    let mixed = Math.imul(hash ^ (hash >>> 15), hash | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffle(list, random) {
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [list[last], list[other]] = [list[other], list[last]];
  }
  return list;
}

function plan(rater) {
  const random = generator(`${data.order_seed}/${rater}`);
  const once = shuffle([...data.items], random);
  const order = once.map((item) => ({ item, repeat: 0, isFlipped: random() < 0.5 }));
  // What comes twice is from the first half and comes again in the last quarter, so that nobody
  // remembers the grade. A pair comes again with its sides changed.
  const early = shuffle(order.slice(0, Math.floor(order.length / 2)), random);
  const late = Math.ceil((3 * order.length) / 4);
  for (const step of early.slice(0, data.num_repeats)) {
    const place = late + Math.floor(random() * (order.length - late + 1));
    order.splice(place, 0, { item: step.item, repeat: 1, isFlipped: !step.isFlipped });
  }
  return order;
}

function sides(step) {
  const { item, isFlipped } = steps[step];
  return isFlipped ? [...item.images].reverse() : item.images;
}

// --- What is kept -----------------------------------------------------------------------------

function warn(text) {
  byId("warning").textContent = text;
  byId("warning").hidden = false;
}

function keep() {
  state.turn += 1;
  try {
    localStorage.setItem(`${KEY}/${state.rater}`, JSON.stringify(state));
    localStorage.setItem(`${KEY}//last`, state.rater);
  } catch (error) {
    warn("This browser keeps nothing: save your file before you close or reload the page.");
  }
}

function kept(name) {
  try {
    return localStorage.getItem(`${KEY}/${name}`);
  } catch (error) {
    return null;
  }
}

// --- Answers ----------------------------------------------------------------------------------

const questions = isAbsolute ? data.criteria.map((each) => each.name) : ["choice"];
const slot = (step, name) => `${step}/${name}`;
const has = (step, name) => slot(step, name) in state.answers;
const isDone = (step) => questions.every((name) => has(step, name));
const numDone = () => steps.filter((_, step) => isDone(step)).length;

function put(values) {
  const now = performance.now();
  const time_s = Math.round(now - shownAt) / 1000;
  shownAt = now;
  const before = {};
  for (const [name, value] of Object.entries(values)) {
    const place = slot(at, name);
    before[place] = state.answers[place] ?? null;
    state.answers[place] = { value, time_s, at: new Date().toISOString() };
  }
  state.history.push({ step: at, before });
  keep();
}

function answer(value) {
  const name = questions[question];
  put({ [name]: value });
  say(isAbsolute ? `${data.criteria[question].title}: ${value}.` : `${value}.`);
  const open = questions.findIndex((each) => !has(at, each));
  if (open >= 0) {
    question = open;
    show();
  } else {
    next();
  }
}

function skip() {
  const open = questions.filter((name) => !has(at, name));
  if (open.length) {
    put(Object.fromEntries(open.map((name) => [name, null])));
    say("Skipped.");
  }
  next();
}

function undo() {
  const last = state.history.pop();
  if (!last) {
    say("Nothing to undo.");
    return;
  }
  for (const [place, before] of Object.entries(last.before)) {
    if (before === null) {
      delete state.answers[place];
    } else {
      state.answers[place] = before;
    }
  }
  keep();
  say("Undone.");
  go(last.step, questions.indexOf(Object.keys(last.before)[0].split("/")[1]));
}

function next() {
  const after = steps.findIndex((_, step) => step > at && !isDone(step));
  const open = after >= 0 ? after : steps.findIndex((_, step) => !isDone(step));
  go(open >= 0 ? open : at);
}

function go(step, asked = -1) {
  at = Math.max(0, Math.min(steps.length - 1, step));
  const open = questions.findIndex((name) => !has(at, name));
  question = asked >= 0 ? asked : Math.max(0, open);
  shownAt = performance.now();
  show();
}

// --- Files ------------------------------------------------------------------------------------

function ratings() {
  const rows = [];
  steps.forEach(({ item, repeat }, step) => {
    const [left, right] = sides(step);
    for (const name of questions) {
      const given = state.answers[slot(step, name)];
      if (given) {
        const what = isAbsolute
          ? { criterion: name, value: given.value }
          : { left, right, choice: given.value };
        const head = { position: step + 1, item: item.id, repeat };
        rows.push({ ...head, ...what, time_s: given.time_s, at: given.at });
      }
    }
  });
  return rows;
}

function head() {
  return { schema: data.schema, page: data.page, mode: data.mode, rater: state.rater };
}

function asJson() {
  const times = { started: state.started, saved: new Date().toISOString() };
  const told = { ...head(), ...times, complete: numDone() === steps.length };
  return JSON.stringify({ ...told, ratings: ratings() }, null, 1) + "\n";
}

function asCsv() {
  const own = isAbsolute ? ["criterion", "value"] : ["left", "right", "choice"];
  const columns = [...Object.keys(head()), "position", "item", "repeat", ...own, "time_s", "at"];
  const lines = ratings().map((row) => {
    const whole = { ...head(), ...row };
    return columns.map((column) => whole[column] ?? "").join(",");
  });
  return [columns.join(","), ...lines].join("\r\n") + "\r\n";
}

function save(text, kind, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const who = state.rater.replace(/ /g, "_");
  make("a", { href: url, download: `rubric-${data.page.slice(0, 8)}-${who}.${kind}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  say(`Saved as ${kind.toUpperCase()}.`);
}
