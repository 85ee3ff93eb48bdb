// SPDX-License-Identifier: Apache-2.0
"use strict";
// Makes elements. Texts become text nodes only, so a hostile text never becomes markup.
const Dom = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const id = (name) => document.getElementById(name);
  function make(tag, fields = {}, ...children) {
    const element = Object.assign(document.createElement(tag), fields);
    element.append(...children);
    return element;
  }
  function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }
  const known = (value) => value !== null && value !== undefined;
  const number = (value, digits = 1) => (known(value) ? Number(value).toFixed(digits) : "–");
  // Replaces the children only if `key` has changed: a button under a finger stays the same element.
  function refill(place, key, makeChildren) {
    const text = JSON.stringify(key);
    if (place.contentKey === text) return;
    place.contentKey = text;
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.focus : "";
    place.replaceChildren(...makeChildren());
    if (focused) {
      const again = [...place.querySelectorAll("[data-focus]")].find((e) => e.dataset.focus === focused);
      if (again) again.focus();
    }
  }
  return { id, make, svg, number, known, refill };
})();
