// Links to files of a request. With a key a plain link would be refused, so the file is fetched with it and then saved.
function render({ model, el }) {
  const said = element("span", { className: "islet-wrong", aria: { role: "alert" } });
  const links = model.get("files").map(({ path, text, name, main }) => {
    const link = element("a", { href: apiPath(model, path), className: `islet-button ${main ? "islet-main" : ""}`, textContent: text, download: name });
    link.addEventListener("click", async (event) => {
      event.preventDefault();
      said.textContent = "";
      try {
        const file = await (await callApi(model, path, {}, 20000)).blob();
        const address = URL.createObjectURL(file);
        element("a", { href: address, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(address), 60000);
      } catch (problem) {
        said.textContent = problemText(model, problem);
      }
    });
    return link;
  });
  if (model.get("print_text")) {
    const print = element("button", { type: "button", textContent: model.get("print_text") });
    print.addEventListener("click", () => window.print());
    links.push(print);
  }
  el.append(element("div", { className: "islet-row islet-no-print" }, ...links, said));
}

export default { render };
