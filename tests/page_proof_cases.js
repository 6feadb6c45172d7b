// Runs in the page: every proof of every tree as it is, then with one thing wrong; counts what was said.
const bytes = proof.fromHex;
const counts = { held: 0, refused: 0, wrong: [] };
const flip = (hash) => Uint8Array.from(hash, (byte, at) => (at === 5 ? byte ^ 1 : byte));
const accepts = (check) => check.then(() => true, (error) => { if (error instanceof proof.ProofError) return false; throw error; });

async function expect(wanted, check, what) {
  if ((await accepts(check)) !== wanted) counts.wrong.push(what);
  counts[wanted ? "held" : "refused"] += 1;
}

for (const tree of trees) {
  const root = bytes(tree.root);
  for (const [index, [leafText, pathText]] of tree.inclusion.entries()) {
    const [leaf, path, size] = [bytes(leafText), pathText.map(bytes), tree.size];
    const what = `inclusion ${index} of ${size}`;
    await expect(true, proof.checkInclusion(index, size, leaf, path, root), what);
    await expect(false, proof.checkInclusion(index, size, flip(leaf), path, root), `${what}: leaf`);
    await expect(false, proof.checkInclusion(index, size, leaf, path, flip(root)), `${what}: root`);
    await expect(false, proof.checkInclusion(index, size, leaf, [...path, leaf], root), `${what}: too long`);
    if (path.length) await expect(false, proof.checkInclusion(index, size, leaf, path.slice(1), root), `${what}: too short`);
    for (const at of path.keys()) {
      const changed = path.map((hash, place) => (place === at ? flip(hash) : hash));
      await expect(false, proof.checkInclusion(index, size, leaf, changed, root), `${what}: hash ${at}`);
    }
    for (let other = -1; other <= size; other += 1) {
      if (other !== index) await expect(false, proof.checkInclusion(other, size, leaf, path, root), `${what}: as ${other}`);
    }
  }
  for (const [place, [oldText, pathText]] of tree.consistency.entries()) {
    const [oldSize, oldRoot, path] = [place + 1, bytes(oldText), pathText.map(bytes)];
    const what = `growth from ${oldSize} to ${tree.size}`;
    const check = (...changed) => proof.checkConsistency(...Object.assign([oldSize, tree.size, oldRoot, root, path], changed));
    await expect(true, check(), what);
    await expect(false, check(oldSize, tree.size, flip(oldRoot)), `${what}: old root`);
    await expect(false, check(oldSize, tree.size, oldRoot, flip(root)), `${what}: new root`);
    await expect(false, check(oldSize, tree.size, oldRoot, root, [...path, oldRoot]), `${what}: too long`);
    await expect(false, check(0, tree.size), `${what}: from nothing`);
    await expect(false, check(tree.size + 1, tree.size), `${what}: shrinking`);
    for (const at of path.keys()) {
      const changed = path.map((hash, number) => (number === at ? flip(hash) : hash));
      await expect(false, check(oldSize, tree.size, oldRoot, root, changed), `${what}: hash ${at}`);
    }
  }
}
return counts;
