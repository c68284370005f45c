// What the console does beyond its forms. Every page works without it.
'use strict';
document.documentElement.classList.add('scripted');

// The server's fragments are the only text that becomes HTML here, and all values in them are escaped.
const policy = window.trustedTypes?.createPolicy('claimgate-console', { createHTML: (text) => text });
const trusted = (text) => (policy ? policy.createHTML(text) : text);

// A form with `data-live` is sent while it is filled in; its answer replaces the element that it names.
for (const form of document.querySelectorAll('form[data-live]')) {
  const result = document.getElementById(form.dataset.live);
  let timer;
  let pending;
  const ask = async () => {
    pending?.abort();
    pending = new AbortController();
    const { signal } = pending;
    try {
      const answer = await fetch(form.dataset.action, { method: 'POST', body: new URLSearchParams(new FormData(form)), signal, credentials: 'same-origin' });
      // The session of the administration has ended: the page leads to the way in.
      if (answer.status === 401) return form.requestSubmit();
      if (answer.ok) result.innerHTML = trusted(await answer.text());
    } catch (error) {
      if (error.name !== 'AbortError') result.setAttribute('aria-busy', 'true');
      return;
    }
    result.removeAttribute('aria-busy');
  };
  form.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 40);
  });
  // A value in the tree of claims puts its path into the field.
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-path]');
    if (!button || button.form !== form) return;
    event.preventDefault();
    form.elements.path.value = button.dataset.path;
    ask();
  });
}

// An element with `data-poll` is replaced every few seconds, while its switch is on and the page is looked at.
for (const list of document.querySelectorAll('[data-poll]')) {
  const live = document.getElementById(list.dataset.switch);
  let last;
  setInterval(async () => {
    // What has the focus stays.
    if (!live.checked || document.hidden || list.contains(document.activeElement)) return;
    try {
      const answer = await fetch(list.dataset.poll, { credentials: 'same-origin' });
      if (answer.status === 401) return location.reload();
      const text = await answer.text();
      if (answer.ok && text !== last && live.checked && !list.contains(document.activeElement)) {
        last = text;
        list.innerHTML = trusted(text);
      }
      list.removeAttribute('aria-busy');
    } catch {
      list.setAttribute('aria-busy', 'true');
    }
  }, 1000 * list.dataset.every);
}

// On a narrow screen the navigation is a row that scrolls.
document.querySelector('nav a[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });

for (const button of document.querySelectorAll('button[data-copy]')) {
  button.addEventListener('click', async () => {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Select it and copy';
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

for (const form of document.querySelectorAll('form[data-confirm]')) {
  form.addEventListener('submit', (event) => { if (!window.confirm(form.dataset.confirm)) event.preventDefault(); });
}
