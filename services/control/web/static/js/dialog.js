// A modal dialog: the browser keeps the focus inside and returns it at the end.

import { createContext, html, useContext, useEffect, useRef } from "../components/vendor/htm-preact.js";

export const Opening = createContext(null);

// Functions that open dialogs: {event(id), command(name, loop)}.
export const useOpening = () => useContext(Opening);

export function Dialog({ title, onClose, children, wide = false }) {
  const box = useRef(null);
  const gone = useRef(false);
  useEffect(() => {
    const dialog = box.current;
    dialog.showModal();
    return () => {
      gone.current = true; // another dialog replaces it and must stay open
      dialog.close();
    };
  }, []);
  const closed = () => { if (!gone.current) onClose(); };
  return html`<dialog ref=${box} class=${wide ? "wide" : ""} aria-labelledby="dialog-title" onClose=${closed}>
    <div class="dialog">
      <header><h2 id="dialog-title">${title}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick=${onClose}>✕</button></header>
      ${children}
    </div>
  </dialog>`;
}
