// The editor: toolbar, canvas, and the talk with the kernel, which holds the labels.
async function fetchPicture(model, view, tell) {
  try {
    const answer = await fetch(model.get("picture_url"), { headers: model.get("headers"), credentials: "include" });
    if (!answer.ok) throw new Error(String(answer.status));
    view.picture = await createImageBitmap(await answer.blob());
    view.ask();
  } catch {
    tell(model.get("texts").no_picture);
  }
}

function render({ model, el }) {
  const texts = model.get("texts");
  const canvas = element("canvas", { tabIndex: 0, className: "islet-canvas", ariaLabel: texts.picture });
  canvas.setAttribute("role", "application");
  const view = new View(canvas, model.get("size_px"));
  const said = element("p", { className: "islet-said" });
  said.setAttribute("role", "status");
  const buttons = {};
  const make = (name, press, title = "") => {
    const made = element("button", { type: "button", textContent: texts[name], title });
    made.addEventListener("click", press);
    buttons[name] = made;
    return made;
  };
  const tell = (text) => (said.textContent = text);

  function selection() {
    const n = view.selected.size;
    if (view.part) return texts.selected_tissue;
    if (n > 1) return texts.selected_many.replace("{n}", n);
    if (!n) return "";
    const [number] = view.selected;
    const scale = model.get("um_per_px");
    const length = 2 * Math.sqrt(view.shapes.get(number).area / Math.PI) * (scale ?? 1);
    const rounded = length.toLocaleString(model.get("language"), { maximumFractionDigits: 0 });
    return texts.selected_one.replace("{diameter}", `${rounded} ${scale ? "µm" : "px"}`);
  }

  function refresh() {
    const n = view.selected.size;
    buttons.delete.disabled = buttons.class.disabled = !n && !view.part;
    buttons.merge.disabled = n < 2;
    for (const name of ["select", ...DRAWING]) buttons[name].setAttribute("aria-pressed", hands.tool === name);
    buttons.several.setAttribute("aria-pressed", hands.several);
    buttons.outlines.setAttribute("aria-pressed", view.showsOutlines);
    brush.hidden = hands.tool !== "erase";
    view.ask();
  }

  function select(point, several) {
    const shape = view.shapeAt(...point);
    view.part = null;
    if (!several) view.selected.clear();
    if (shape && several && view.selected.has(shape.number)) view.selected.delete(shape.number);
    else if (shape) view.selected.add(shape.number);
    else if (!several) model.send({ kind: "look", point });
    tell(selection());
    refresh();
  }

  function draw(tool, points, radius) {
    if (tool === "redraw" && view.selected.size !== 1) {
      tell(texts.hint_redraw_none);
      return;
    }
    const message = { kind: "edit", tool, numbers: [...view.selected], radius_px: radius };
    model.send(message, undefined, [Float32Array.from(points.flat()).buffer]);
  }

  function edit(tool) {
    if (view.part) model.send({ kind: "edit", tool, point: view.part.point });
    else if (view.selected.size) model.send({ kind: "edit", tool, numbers: [...view.selected] });
  }

  function go(step) {
    const numbers = [...view.shapes.keys()].sort((a, b) => a - b);
    if (!numbers.length) return;
    const at = numbers.indexOf([...view.selected].at(-1) ?? -1);
    const next = at < 0 ? (step > 0 ? 0 : numbers.length - 1) : (at + step + numbers.length) % numbers.length;
    view.part = null;
    view.selected = new Set([numbers[next]]);
    view.centre(view.shapes.get(numbers[next]));
    tell(selection());
    refresh();
  }

  function act(name) {
    if (name === "undo" || name === "redo") model.send({ kind: name });
    else if (name === "next" || name === "previous") go(name === "next" ? 1 : -1);
    else if (name === "class") edit(view.part ? "islet" : "tissue");
    else if (name === "none") {
      view.selected.clear();
      view.part = null;
      tell("");
      refresh();
    } else if (name === "delete" || view.selected.size > 1) edit(name);
  }

  function choose(tool) {
    hands.choose(tool);
    tell(tool === "redraw" && view.selected.size !== 1 ? texts.hint_redraw_none : texts[`hint_${tool}`]);
    refresh();
  }

  const hands = new Hands(view, { select, draw, act, tool: choose });
  const size = element("input", { type: "range", min: 3, max: 60, value: hands.radiusScreen, ariaLabel: texts.brush });
  size.addEventListener("input", () => (hands.radiusScreen = Number(size.value)));
  const brush = element("label", { className: "islet-brush" }, texts.brush, size);
  const middle = () => [canvas.clientWidth / 2, canvas.clientHeight / 2];
  const letters = Object.fromEntries(Object.entries(TOOL_KEYS).map(([key, tool]) => [tool, key.toUpperCase()]));
  const group = (...children) => element("span", { className: "islet-tool-group" }, ...children);
  const bar = element(
    "div",
    { className: "islet-toolbar", ariaLabel: texts.tools },
    group(
      ...["select", "add", "add_tissue", "redraw", "split", "erase"].map((name) =>
        make(name, () => choose(name), letters[name]),
      ),
      brush,
    ),
    group(
      make("several", () => {
        hands.several = !hands.several;
        refresh();
      }),
      make("delete", () => act("delete"), "Del"),
      make("merge", () => act("merge"), "M"),
      make("class", () => act("class"), "C"),
    ),
    group(make("undo", () => act("undo"), "Ctrl+Z"), make("redo", () => act("redo"), "Ctrl+Y")),
    group(
      make("closer", () => view.zoom(1.4, ...middle()), "+"),
      make("farther", () => view.zoom(1 / 1.4, ...middle()), "−"),
      make("whole", () => view.fit(), "0"),
      make("outlines", () => {
        view.showsOutlines = !view.showsOutlines;
        refresh();
      }),
    ),
  );
  bar.setAttribute("role", "toolbar");
  const keys = element("details", {}, element("summary", { textContent: texts.keys }), element("p", { textContent: texts.keys_text }));
  el.classList.add("islet-editor");
  el.append(bar, canvas, said, keys);

  let isSaved = true;
  const heard = (message, buffers) => {
    if (message.kind === "saved") isSaved = true;
    if ("said" in message) tell(message.said);
    if (message.kind === "tissue") {
      const [part] = readOutlines(message.heads, buffers[0]);
      view.part = part && !view.selected.size ? { ...part, point: message.point } : null;
      if (view.part) tell(selection());
    }
    if (message.kind === "all" || message.kind === "changed") {
      if (message.kind === "all") view.shapes.clear();
      view.part = null;
      view.put(buffers.length ? readOutlines(message.heads, buffers[0]) : [], message.gone);
      if (buffers.length > 1) view.setTissue(buffers[1]);
      buttons.undo.disabled = !message.undo_n;
      buttons.redo.disabled = !message.redo_n;
      isSaved = message.is_saved;
      el.dataset.islets = view.shapes.size;
    }
    refresh();
  };
  const warn = (event) => {
    if (!isSaved) event.preventDefault();
  };
  const watcher = new ResizeObserver(() => view.resize());
  model.on("msg:custom", heard);
  window.addEventListener("beforeunload", warn);
  watcher.observe(canvas);
  hands.choose("select");
  refresh();
  tell(texts.hint_select);
  model.send({ kind: "ready" });
  fetchPicture(model, view, tell);
  return () => {
    model.off("msg:custom", heard);
    window.removeEventListener("beforeunload", warn);
    watcher.disconnect();
  };
}

export default { render };
