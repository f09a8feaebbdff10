// Reads of a TIFF what a thumbnail needs: the size of a pixel, and the picture where it is stored in a common way.
const TIFF_TYPES = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 16: 8 };
const MOST_THUMBNAIL_BYTES = 160e6;

async function readTiff(file) {
  const head = new DataView(await file.slice(0, 16).arrayBuffer());
  const mark = head.byteLength > 8 ? head.getUint16(0) : 0;
  const little = mark === 0x4949;
  if ((!little && mark !== 0x4d4d) || head.getUint16(2, little) !== 42) return null;
  const at = head.getUint32(4, little);
  const table = new DataView(await file.slice(at, at + 2 + 12 * 200).arrayBuffer());
  const tags = {};
  for (let k = 0; k < table.getUint16(0, little) && 14 + 12 * k <= table.byteLength; k++) {
    const entry = 2 + 12 * k;
    const [type, count] = [table.getUint16(entry + 2, little), table.getUint32(entry + 4, little)];
    const size = (TIFF_TYPES[type] ?? 0) * count;
    if (!size || size > 4e6) continue;
    const place = table.getUint32(entry + 8, little);
    const view = size > 4 ? new DataView(await file.slice(place, place + size).arrayBuffer()) : null;
    tags[table.getUint16(entry, little)] = tiffValues(view ?? table, view ? 0 : entry + 8, type, count, little);
  }
  return { tags, little };
}

function tiffValues(view, at, type, count, little) {
  if (type === 2) return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at, count));
  return Array.from({ length: count }, (_, k) => {
    const place = at + k * TIFF_TYPES[type];
    if (type === 1) return view.getUint8(place);
    if (type === 3) return view.getUint16(place, little);
    if (type === 5) return view.getUint32(place, little) / view.getUint32(place + 4, little);
    return view.getUint32(place, little);
  });
}

// The same rule as the service's: ImageJ's unit, or OME's physical size, or a resolution in centimetres. A resolution
// in inches is that of a printer and says nothing of the microscope.
function tiffPixelUm({ tags }) {
  const text = typeof tags[270] === "string" ? tags[270] : "";
  const ome = /PhysicalSizeX="([0-9.eE+-]+)"/.exec(text);
  const unit = /PhysicalSizeXUnit="([^"]+)"/.exec(text)?.[1] ?? "µm";
  if (ome && /^[µμu]m$/.test(unit)) return Number(ome[1]);
  const perPixel = tags[282]?.[0] ? 1 / tags[282][0] : 0;
  if (perPixel && /(^|\n)unit=(\\u00B5m|[µμu]m|micron|um)\s*(\n|\0|$)/i.test(text)) return perPixel;
  return null;
}

async function tiffBitmap(file, { tags, little }) {
  const [width, height] = [tags[256]?.[0], tags[257]?.[0]];
  const [compression, samples, bits] = [tags[259]?.[0] ?? 1, tags[277]?.[0] ?? 1, tags[258]?.[0] ?? 1];
  if (!tags[273] || !tags[279] || file.size > MOST_THUMBNAIL_BYTES || width * height > 60e6) return null;
  if (compression === 7 && tags[273].length === 1) {
    return createImageBitmap(file.slice(tags[273][0], tags[273][0] + tags[279][0], "image/jpeg"));
  }
  if (![1, 8, 32946].includes(compression) || ![8, 16].includes(bits) || (tags[284]?.[0] ?? 1) !== 1) return null;
  const picture = new ImageData(width, height);
  const rows = tags[278]?.[0] ?? height;
  const line = width * samples * (bits / 8);
  const top = bits === 16 && little ? 1 : 0;
  for (let strip = 0; strip < tags[273].length; strip++) {
    const part = file.slice(tags[273][strip], tags[273][strip] + tags[279][strip]);
    const stream = compression === 1 ? part : new Response(part.stream().pipeThrough(new DecompressionStream("deflate")));
    const bytes = new Uint8Array(await stream.arrayBuffer());
    const predicted = tags[317]?.[0] === 2;
    if (predicted && bits !== 8) return null;
    for (let row = 0; row < rows && strip * rows + row < height; row++) {
      const from = row * line;
      if (predicted) for (let k = from + samples; k < from + line; k++) bytes[k] += bytes[k - samples];
      for (let x = 0; x < width; x++) {
        const to = 4 * ((strip * rows + row) * width + x);
        for (let channel = 0; channel < 3; channel++) {
          const sample = from + (x * samples + (samples >= 3 ? channel : 0)) * (bits / 8);
          picture.data[to + channel] = bytes[sample + top];
        }
        picture.data[to + 3] = 255;
      }
    }
  }
  return createImageBitmap(picture);
}

// A bitmap of any picture that can be shown here, and the size of its pixel if the file says so; nulls where not.
async function lookAt(file) {
  try {
    const tiff = await readTiff(file);
    if (tiff) return { bitmap: await tiffBitmap(file, tiff).catch(() => null), umPerPx: tiffPixelUm(tiff) };
    return { bitmap: await createImageBitmap(file), umPerPx: null };
  } catch {
    return { bitmap: null, umPerPx: null };
  }
}
