// What keeps people out, as a list of complaints: names, labels, roles, headings, contrast, sizes.
const complaints = [];
const complain = (node, what) => complaints.push(`${what}: ${node.outerHTML.slice(0, 160)}`);
const isShown = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true });
const all = (selector) => [...document.querySelectorAll(selector)].filter(isShown);

if (!document.documentElement.lang) complaints.push('no language');
if (!document.title.trim()) complaints.push('no title');
if (!document.querySelector('meta[name=viewport]')) complaints.push('no viewport');
for (const landmark of ['main', 'header']) {
    if (all(landmark).length !== 1) complaints.push('not one ' + landmark);
}

const ids = new Map();
for (const node of document.querySelectorAll('[id]')) {
    if (ids.has(node.id)) complain(node, 'the id is used twice');
    ids.set(node.id, node);
}
for (const name of ['aria-labelledby', 'aria-describedby', 'aria-controls', 'aria-activedescendant']) {
    for (const node of document.querySelectorAll(`[${name}]`)) {
        for (const id of node.getAttribute(name).split(' ').filter(Boolean)) {
            if (!ids.has(id)) complain(node, `${name} points nowhere`);
        }
    }
}

const nameOf = (node) => (node.ariaLabel
    || (node.getAttribute('aria-labelledby') || '').split(' ').map((id) => ids.get(id)?.textContent).join(' ').trim()
    || [...(node.labels || [])].map((label) => label.textContent).join(' ').trim()
    || (node.matches('input') ? '' : node.textContent.trim())
    || '').trim();
const controls = 'a[href], button, input, select, textarea, summary, [tabindex], [role=img], [role=grid], dialog, section, fieldset';
for (const node of all(controls)) {
    const legend = node.matches('fieldset') && node.querySelector('legend')?.textContent;
    if (!legend && !nameOf(node)) complain(node, 'no name');
}
for (const node of document.querySelectorAll('[tabindex]')) {
    if (node.tabIndex > 0) complain(node, 'its own order of tabs');
}
for (const node of all('img, svg')) {
    if (node.ariaHidden !== 'true' && !nameOf(node) && !node.alt) complain(node, 'a picture without words');
}
for (const node of all('button, summary, input:not([type=radio])')) {
    const { width, height } = node.getBoundingClientRect();
    if (!node.matches('summary') && Math.min(width, height) < 24) complain(node, `only ${width}×${height}`);
}

let level = 0;
for (const heading of all('h1, h2, h3, h4, h5, h6')) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) complain(heading, `a heading of level ${next} after ${level}`);
    level = next;
}
if (all('h1').length !== 1) complaints.push('not one h1');

const parents = { row: 'rowgroup', rowgroup: 'grid', gridcell: 'row', columnheader: 'row' };
for (const node of document.querySelectorAll('[role]')) {
    const wanted = parents[node.getAttribute('role')];
    if (wanted && node.parentElement.getAttribute('role') !== wanted) complain(node, `not in a ${wanted}`);
}
for (const grid of document.querySelectorAll('[role=grid]')) {
    for (const row of grid.querySelectorAll('tr:not([hidden])')) {
        if (row.cells.length !== Number(grid.ariaColCount)) complain(row, 'not as many cells as columns');
        if (!row.ariaRowIndex) complain(row, 'no index');
    }
}

// Colours as a canvas understands them: every notation of CSS becomes four numbers.
const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
};
const over = (front, back) => [0, 1, 2].map((i) => front[i] * front[3] + back[i] * (1 - front[3])).concat(1);
const ground = (node) => {
    if (!node) return [255, 255, 255, 1];
    const own = colour(getComputedStyle(node).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(node.parentElement));
};
const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((n) => n / 255).map((n) => n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
    const [bright, dim] = [light(one), light(other)].sort((a, b) => b - a);
    return (bright + 0.05) / (dim + 0.05);
};
let texts = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !isShown(node) || node.closest('.said, script, style, noscript')) continue;
    texts += 1;
    const style = getComputedStyle(node);
    const back = ground(node);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const found = contrast(over(colour(node.closest('svg') ? style.fill : style.color), back), back);
    if (found < least) complain(node, `contrast ${found.toFixed(2)}`);
}
if (texts < 30) complaints.push(`only ${texts} texts were looked at`);
return complaints;
