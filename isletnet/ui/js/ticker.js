// Counts up while the page can be seen, so that a hidden page leaves its kernel alone.
function render({ model }) {
  const timer = setInterval(() => {
    if (document.hidden || !model.get("is_on")) return;
    model.set("tick", model.get("tick") + 1);
    model.save_changes();
  }, 1000 * model.get("every_s"));
  return () => clearInterval(timer);
}

export default { render };
