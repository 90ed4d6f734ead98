/** One Part 10 file by STOW-RS (PS3.18 §10.5). */
import type { Lightbox } from './lightbox.ts';

export function stowFile(box: Lightbox, file: Buffer): Promise<Response> {
  const boundary = 'lightbox-conformance';
  const body = Buffer.concat([
    Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`),
    file,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  return fetch(`${box.url}/dicom-web/studies`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${box.key}`,
      'content-type': `multipart/related; type="application/dicom"; boundary=${boundary}`,
      accept: 'application/dicom+json',
    },
    body,
  });
}
