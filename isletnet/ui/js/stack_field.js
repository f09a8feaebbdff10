// A file on its way into the kernel: one piece at a time, the next when the last has arrived.
const PIECE_BYTES = 1_000_000;

function render({ model, el }) {
  const texts = model.get("texts");
  const input = element("input", { type: "file", accept: ".tif,.tiff,.ome.tif", className: "islet-picker" });
  const label = element("label", { className: "islet-drop" }, element("strong", { textContent: texts.choose }), element("span", { textContent: texts.kinds }), input);
  const bar = element("progress", { max: 1, value: 0, hidden: true, aria: { label: texts.choose } });
  const said = element("p", { className: "islet-said", aria: { role: "status" } });
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
