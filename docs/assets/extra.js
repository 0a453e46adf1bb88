// What scrolls sideways can be reached, and scrolled, by the keyboard.
function reachable() {
  for (const box of document.querySelectorAll("pre > code, .math")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
addEventListener("load", reachable);
addEventListener("resize", reachable);
