// Files from the kernel, fetched piece by piece and saved by the browser.
function render({ model, el }) {
  const pieces = new Map();
  el.classList.add("islet-row");
  for (const [name, text] of Object.entries(model.get("files"))) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    button.addEventListener("click", () => {
      pieces.set(name, []);
      model.send({ name, at: 0 });
    });
    el.append(button);
  }

  const heard = ({ name, at, size }, [data]) => {
    const got = pieces.get(name);
    got.push(data);
    const next = at + data.byteLength;
    if (next < size) {
      model.send({ name, at: next });
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(got));
    link.download = `${model.get("stem")} ${name}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    pieces.delete(name);
  };
  model.on("msg:custom", heard);
  return () => model.off("msg:custom", heard);
}

export default { render };
