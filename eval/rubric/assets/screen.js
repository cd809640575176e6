// What is shown, and what keys and buttons do.

// --- What is shown ----------------------------------------------------------------------------

function say(text) {
  byId("said").textContent = text;
}

function make(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...inside);
  return made;
}

// A whole number of the screen's own pixels a sprite's pixel, on screens of any density.
function picture(id, times, alt) {
  const { width_px, height_px, src } = typeof id === "string" ? data.images[id] : id;
  const density = window.devicePixelRatio || 1;
  const unit = Math.max(1, Math.round(density)) / density;
  const made = make("img", { src, alt, draggable: "false" });
  made.style.width = `${width_px * times * unit}px`;
  made.style.height = `${height_px * times * unit}px`;
  return made;
}

function figures() {
  const told = isAbsolute ? [""] : ["left", "right"];
  return sides(at).map((id, place) => {
    const { width_px, height_px } = data.images[id];
    // Less the page's margins and the ground around each picture.
    const room = Math.min(BIG_PX, (window.innerWidth - 64) / told.length - 40);
    const times = Math.max(2, Math.floor(room / Math.max(width_px, height_px)));
    const name = `${told[place] || "the"} picture, ${width_px} by ${height_px} pixels`;
    const ground = make(
      "div",
      { class: "ground", "data-ground": GROUNDS[state.ground] },
      picture(id, 1, `${name}, at 1x`),
      picture(id, times, `${name}, enlarged ${times} times`)
    );
    const caption = isAbsolute ? `1x and ${times}x` : `${told[place]}: 1x and ${times}x`;
    return make("figure", {}, ground, make("figcaption", {}, caption));
  });
}

function anchorsOf(criterion) {
  const { width_px, height_px } = data.images[sides(at)[0]];
  const isSmall = Math.max(width_px, height_px) <= data.small_side_px;
  return criterion.anchors[isSmall ? "16" : "32"];
}

function asked(criterion, place) {
  const given = state.answers[slot(at, criterion.name)];
  const id = `q-${criterion.name}`;
  const grades = make("div", { class: "grades" });
  anchorsOf(criterion).forEach((anchor, index) => {
    const grade = index + 1;
    const button = make(
      "button",
      {
        type: "button",
        "aria-pressed": String(given?.value === grade),
        "aria-label": `${grade}: ${anchor}`,
        "aria-keyshortcuts": String(grade),
        title: anchor,
      },
      make("b", {}, String(grade)),
      make("span", { class: "anchor" }, anchor)
    );
    button.addEventListener("click", () => {
      question = place;
      answer(grade);
    });
    grades.append(button);
  });
  const isSkipped = given && given.value === null;
  const head = make("h2", { id }, criterion.title + (isSkipped ? " (skipped)" : ""));
  const box = make(
    "div",
    { class: "criterion", role: "group", tabindex: "-1", "aria-labelledby": id },
    head,
    make("p", { id: `${id}-text` }, criterion.question),
    grades
  );
  box.setAttribute("aria-describedby", `${id}-text`);
  if (place === question) {
    box.classList.add("current");
    box.setAttribute("aria-current", "step");
  }
  return box;
}

function choices() {
  const given = state.answers[slot(at, "choice")]?.value;
  const all = [
    ["left", "← Left", "ArrowLeft 1"],
    ["tie", "No difference ↓", "ArrowDown 2"],
    ["right", "Right →", "ArrowRight 3"],
  ];
  const buttons = all.map(([value, text, keys]) => {
    const pressed = String(given === value);
    const attributes = { type: "button", "aria-pressed": pressed, "aria-keyshortcuts": keys };
    const button = make("button", attributes, text);
    button.addEventListener("click", () => answer(value));
    return button;
  });
  return make(
    "div",
    { class: "criterion current", role: "group", tabindex: "-1", "aria-labelledby": "q-choice" },
    make("h2", { id: "q-choice" }, data.question),
    make("div", { class: "choices" }, ...buttons)
  );
}

function show() {
  const thing = isAbsolute ? "Picture" : "Pair";
  const done = numDone();
  byId("bar").max = steps.length;
  byId("bar").value = done;
  byId("where").textContent = `${thing} ${at + 1} of ${steps.length}; ${done} done`;
  byId("prompt").textContent = steps[at].item.prompt;
  byId("pictures").replaceChildren(...figures());
  byId("asking").replaceChildren(...(isAbsolute ? data.criteria.map(asked) : [choices()]));
  byId("done").hidden = done < steps.length;
  byId("undo").disabled = !state.history.length;
  byId("back").disabled = at === 0;
  byId("forward").disabled = at === steps.length - 1;
  // Read aloud, and where Tab goes on from: the question now asked.
  document.querySelector("#asking .current").focus({ preventScroll: true });
}

function showReferences() {
  const tray = make("div", { class: "ground", "data-ground": "grey" });
  data.references.forEach((each, place) => tray.append(picture(each, 2, `example ${place + 1}`)));
  byId("references").replaceChildren(make("p", {}, "Examples of the style, 2x"), tray);
  byId("references").hidden = !data.references.length;
}

// --- Keys -------------------------------------------------------------------------------------

const both = { u: undo, s: skip, g: changeGround };
const absoluteKeys = {
  ArrowUp: () => ask(question - 1),
  ArrowDown: () => ask(question + 1),
  ArrowLeft: () => go(at - 1),
  ArrowRight: () => go(at + 1),
  ...Object.fromEntries([1, 2, 3, 4, 5].map((grade) => [grade, () => answer(grade)])),
};
const pairKeys = {
  ArrowLeft: () => answer("left"),
  ArrowDown: () => answer("tie"),
  ArrowRight: () => answer("right"),
  1: () => answer("left"),
  2: () => answer("tie"),
  3: () => answer("right"),
};
const keys = { ...both, ...(isAbsolute ? absoluteKeys : pairKeys) };

function ask(place) {
  question = Math.max(0, Math.min(questions.length - 1, place));
  show();
}

function changeGround() {
  state.ground = (state.ground + 1) % GROUNDS.length;
  keep();
  show();
  say(`Ground: ${GROUNDS[state.ground]}.`);
}

function onKey(event) {
  const isTyping = event.target instanceof HTMLInputElement;
  if (byId("work").hidden || isTyping || event.ctrlKey || event.altKey || event.metaKey) {
    return;
  }
  const run = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (run) {
    event.preventDefault();
    // A key held down must not rate what comes next.
    if (!event.repeat) {
      run();
    }
  }
}

// --- The two screens --------------------------------------------------------------------------

function begin(rater) {
  const text = kept(rater);
  state = text ? JSON.parse(text) : { ...state, rater, started: new Date().toISOString() };
  steps = plan(rater);
  keep();
  byId("start").hidden = true;
  byId("work").hidden = false;
  showReferences();
  at = -1;
  next();
}

// The same rater went on in another tab. Nothing is kept here: the other tab did, and may have again.
function follow(event) {
  const isOurs = event.key === `${KEY}/${state.rater}` && event.newValue;
  const other = isOurs ? JSON.parse(event.newValue) : state;
  if (other.turn > state.turn) {
    state = other;
    if (isDone(at)) {
      next();
    } else {
      go(at);
    }
  }
}

function tellTask() {
  const total = data.items.length + data.num_repeats;
  byId("task").textContent = isAbsolute
    ? `You will see ${total} pictures, one by one, and grade each 1 to 5 on ` +
      `${data.criteria.length} questions. You are not told what made them.`
    : `You will see ${total} pairs of pictures. ${data.question} ` +
      "You are not told what made them.";
  for (const criterion of data.criteria) {
    const box = make("details", {}, make("summary", {}, criterion.title));
    box.append(make("p", {}, criterion.question));
    for (const [side, anchors] of Object.entries(criterion.anchors)) {
      const list = make("ol", {}, ...anchors.map((anchor) => make("li", {}, anchor)));
      box.append(make("p", {}, `${side}x${side}`), list);
    }
    byId("criteria-told").append(box);
  }
}

function start() {
  document.body.dataset.mode = data.mode;
  document.querySelectorAll("[data-mode]").forEach((list) => {
    list.hidden = list !== document.body && list.dataset.mode !== data.mode;
  });
  byId("back").hidden = byId("forward").hidden = !isAbsolute;
  tellTask();
  byId("rater").value = kept("/last") ?? "";
  byId("who").addEventListener("submit", (event) => {
    event.preventDefault();
    const rater = byId("rater").value.normalize("NFC").trim();
    byId("rater").setCustomValidity(NAME.test(rater) ? "" : "Letters, digits, spaces, . _ -");
    if (byId("who").reportValidity()) {
      begin(rater);
    }
  });
  byId("rater").addEventListener("input", () => byId("rater").setCustomValidity(""));
  for (const [id, run] of Object.entries({ undo, skip, ground: changeGround })) {
    byId(id).addEventListener("click", run);
  }
  byId("back").addEventListener("click", () => go(at - 1));
  byId("forward").addEventListener("click", () => go(at + 1));
  byId("save-json").addEventListener("click", () => save(asJson(), "json", "application/json"));
  byId("save-csv").addEventListener("click", () => save(asCsv(), "csv", "text/csv"));
  document.addEventListener("keydown", onKey);
  window.addEventListener("resize", () => byId("work").hidden || show());
  window.addEventListener("storage", follow);
  byId("rater").focus();
}

start();
