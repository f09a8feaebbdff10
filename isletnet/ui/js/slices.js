// Slices of a stack to leaf through; those that were seen are kept.
function render({ model, el }) {
  const texts = model.get("texts");
  const total = model.get("slices_n");
  const picture = Object.assign(document.createElement("img"), { className: "islet-slice", alt: texts.picture });
  const place = Object.assign(document.createElement("input"), { type: "range", min: 0, max: total - 1 });
  place.ariaLabel = texts.place;
  const said = document.createElement("output");
  const kept = new Map();
  let wanted = -1;

  function show(number) {
    wanted = number;
    said.textContent = texts.slice.replace("{number}", number + 1).replace("{total}", total);
    if (kept.has(number)) picture.src = kept.get(number);
    else model.send({ number });
  }

  const heard = (message, [data]) => {
    kept.set(message.number, URL.createObjectURL(new Blob([data], { type: "image/jpeg" })));
    if (message.number === wanted) picture.src = kept.get(wanted);
  };
  model.on("msg:custom", heard);
  place.addEventListener("input", () => show(Number(place.value)));
  const line = Object.assign(document.createElement("label"), { className: "islet-slice-place" });
  line.append(said, place);
  el.append(picture, line);
  place.value = Math.floor(total / 2);
  show(Math.floor(total / 2));
  return () => {
    model.off("msg:custom", heard);
    for (const address of kept.values()) URL.revokeObjectURL(address);
  };
}

export default { render };
