// The first page with scripts: drop or choose a recording, see it go up, read the answer in place.
// Without scripts the form works by itself.

import { enliven } from "./result.js";

const form = document.getElementById("verify");
const input = document.getElementById("file");
const zone = form.querySelector(".zone");
const progress = document.getElementById("progress");
const progressText = document.getElementById("progress-text");
const bar = document.getElementById("progress-bar");
const failure = document.getElementById("failure");
const outcome = document.getElementById("outcome");
const ask = document.querySelector("label[for=file]").textContent;
let running = null;

function show(text, percent = null) {
  progress.hidden = false;
  if (progressText.textContent !== text) progressText.textContent = text; // said once, not at every percent
  if (percent === null) bar.removeAttribute("value");
  else bar.value = percent;
}

// While there is an answer, it is what the page is about.
function setAside(hidden) {
  for (const id of ["intro", "explained"]) document.getElementById(id).hidden = hidden;
  document.querySelector("label[for=file]").textContent = hidden ? "Another recording" : ask;
}

function fail(text) {
  progress.hidden = true;
  failure.hidden = false;
  failure.textContent = text;
  form.classList.remove("small");
  setAside(false);
}

function describe(request) {
  try {
    const problem = JSON.parse(request.responseText);
    return `${problem.title}: ${problem.detail}.`;
  } catch {
    return `The server answered ${request.status}.`;
  }
}

function verify(file) {
  running?.abort();
  const request = new XMLHttpRequest(); // fetch does not tell how far an upload got
  running = request;
  failure.hidden = true;
  outcome.replaceChildren();
  form.classList.add("small");
  setAside(true);
  show(`Sending ${file.name} …`, 0);
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) show(`Sending ${file.name} …`, (100 * event.loaded) / event.total);
  });
  request.upload.addEventListener("load", () => show("Listening, comparing, checking the record …"));
  request.addEventListener("error", () => fail("The server cannot be reached. Nothing was examined."));
  request.addEventListener("load", () => {
    if (request !== running) return;
    if (request.status !== 200) return fail(describe(request));
    progress.hidden = true;
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    outcome.replaceChildren(...page.body.childNodes);
    outcome.querySelector("#headline").focus();
    enliven(outcome, file);
  });
  const body = new FormData();
  body.append("file", file, file.name);
  request.open("POST", "/verify?part=result");
  request.setRequestHeader("accept", "application/problem+json, */*;q=0.5");
  request.send(body);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (input.files.length) verify(input.files[0]);
});
input.addEventListener("change", () => input.files.length && verify(input.files[0]));

// The whole page takes the drop: a near miss must not make the browser open the file instead.
let depth = 0;
document.addEventListener("dragenter", (event) => {
  event.preventDefault();
  depth += 1;
  zone.classList.add("over");
});
document.addEventListener("dragleave", () => {
  depth = Math.max(0, depth - 1);
  if (!depth) zone.classList.remove("over");
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  zone.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) verify(file);
});
