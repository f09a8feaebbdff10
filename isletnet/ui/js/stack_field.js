// A file on its way into the kernel: one piece at a time, the next when the last has arrived.
const PIECE_BYTES = 1_000_000;

function render({ model, el }) {
  const texts = model.get("texts");
  const input = Object.assign(document.createElement("input"), { type: "file", accept: ".tif,.tiff,.ome.tif" });
  const label = Object.assign(document.createElement("label"), { className: "islet-drop" });
  const title = Object.assign(document.createElement("b"), { textContent: texts.choose });
  const kinds = Object.assign(document.createElement("span"), { className: "islet-quiet", textContent: texts.kinds });
  const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0, hidden: true });
  const said = Object.assign(document.createElement("p"), { className: "islet-said" });
  said.setAttribute("role", "status");
  bar.setAttribute("aria-label", texts.choose);
  label.append(title, kinds, input);
  el.append(label, bar, said);

  let file = null;
  async function send(at) {
    const chosen = file;
    const piece = await chosen.slice(at, at + PIECE_BYTES).arrayBuffer();
    if (chosen === file) model.send({ kind: "piece", name: chosen.name, size: chosen.size, at }, undefined, [piece]);
  }

  function take(chosen) {
    if (!chosen) return;
    if (chosen.size > model.get("largest_bytes") || !chosen.size) {
      said.textContent = texts.too_large;
      return;
    }
    file = chosen;
    said.textContent = chosen.name;
    bar.hidden = false;
    bar.value = 0;
    send(0);
  }

  const heard = (message) => {
    if (message.kind !== "got" || !file) return;
    bar.value = message.at / file.size;
    if (message.at < file.size) send(message.at);
    else {
      bar.hidden = true;
      said.textContent = texts.arrived.replace("{name}", file.name);
    }
  };
  model.on("msg:custom", heard);
  input.addEventListener("change", () => take(input.files[0]));
  label.addEventListener("dragover", (event) => event.preventDefault());
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  return () => model.off("msg:custom", heard);
}

export default { render };
