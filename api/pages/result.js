// Comfort for a finding in the page: its proof is checked, it can be printed, the clip at hand can be heard.

import { attachProofs } from "./panel.js";

/** @param root the element that holds a finding; @param file the recording, where this page has it. */
export function enliven(root, file = null) {
  for (const button of root.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
  const place = root.querySelector("[data-player]");
  if (file && place) attachPlayer(root, place, file);
  return attachProofs(root);
}

// The clip is played from the visitor's own disk; it is not sent again, and nothing of it is on the server.
function attachPlayer(root, place, file) {
  const player = document.createElement("audio");
  player.controls = true;
  player.setAttribute("aria-label", "The clip, from your own disk");
  player.src = URL.createObjectURL(file);
  player.addEventListener("error", () => player.remove()); // a container that this browser does not play
  place.append(player);
  for (const cell of root.querySelectorAll("[data-seek]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "seek";
    button.setAttribute("aria-label", `Hear from ${cell.textContent.trim()}`);
    button.textContent = cell.textContent;
    button.addEventListener("click", () => {
      player.currentTime = Math.max(0, Number(cell.dataset.seek) / 1000 - 1);
      player.play();
    });
    cell.replaceChildren(button);
  }
}

if (document.querySelector("main > .finding")) enliven(document);
