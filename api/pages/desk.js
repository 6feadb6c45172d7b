// The issue desk with scripts: example prompts at a click, and a job's progress as the server tells it.

const examples = document.querySelector("[data-examples]");
if (examples) {
  examples.hidden = false;
  for (const button of examples.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const prompt = document.getElementById("prompt");
      prompt.value = button.textContent;
      prompt.focus();
    });
  }
}

const ENDED = ["done", "failed", "cancelled", "interrupted"];

// Server-sent events, each the whole job; the browser comes back by itself after a break.
function follow(place) {
  const address = `/desk/jobs/${place.dataset.job}`;
  const source = new EventSource(`${address}/events`);
  const show = ({ data }) => {
    const job = JSON.parse(data);
    const stage = place.querySelector("[data-job-stage]");
    const text = job.state === "queued" ? "Waiting for its turn" : job.stage.charAt(0).toUpperCase() + job.stage.slice(1);
    if (stage.textContent !== text) stage.textContent = text;
    place.querySelector("[data-job-bar]").value = job.fraction;
  };
  for (const state of ["queued", "running"]) source.addEventListener(state, show);
  for (const state of ENDED) {
    source.addEventListener(state, async () => {
      source.close();
      const answer = await fetch(`${address}?part=state`);
      if (!answer.ok) return location.reload();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      place.replaceChildren(...page.body.childNodes);
      const heading = place.querySelector("h1");
      heading.tabIndex = -1;
      heading.focus();
    });
  }
}

const unfinished = document.querySelector("[data-job-unfinished]");
if (unfinished) follow(unfinished);
