// Questions and commands to the control service.

export class Problem extends Error {
  constructor(text, status) {
    super(text);
    this.status = status; // 0 where no answer came
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
  const found = await answer.json().catch(() => ({ error: `It answers ${answer.status}, and not in JSON.` }));
  if (!answer.ok) throw new Problem(found.error || `It answers ${answer.status}.`, answer.status);
  return found;
}

export const ask = (path, signal) => call(path, { signal });

export const command = (name, request) =>
  call(`commands/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(request),
  });
