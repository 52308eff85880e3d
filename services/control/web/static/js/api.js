// Requests and commands to the control service.

export class Problem extends Error {
  constructor(text, status) {
    super(text);
    this.status = status; // 0 if there was no answer
  }
}

async function call(path, options) {
  let answer;
  try {
    answer = await fetch(`/api/${path}`, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The control service does not answer.", 0);
  }
  const content = await answer.json().catch(() => ({ error: `The control service answered ${answer.status} without JSON.` }));
  if (!answer.ok) throw new Problem(content.error || `The control service answered ${answer.status}.`, answer.status);
  return content;
}

export const read = (path, signal) => call(path, { signal });

export const command = (name, request) =>
  call(`commands/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(request),
  });
