/** `lightbox find` against archives of other people: DCMTK's dcmqrscp and Orthanc. */
import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { ARCHIVES, stopped } from './support/archives.ts';
import { cli, type CliResult } from './support/cli.ts';
import { contextProfile, storescu, temporaryFolder } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { freePort } from './support/lightbox.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const STUDY = '1.2.826.0.1.3680043.10.1234.800';

for (const archive of ARCHIVES) {
  describeWith([archive.needs, 'storescu', 'echoscu'], `lightbox find against ${archive.needs}`, () => {
    const folder = temporaryFolder();
    let child: ChildProcess;
    let at: string;

    beforeAll(async () => {
      const port = await freePort();
      at = `PEER@127.0.0.1:${port}`;
      child = await archive.start(folder.path, port);
      const files = [1, 2, 3].map((number) => {
        const file = join(folder.path, `${number}.dcm`);
        const names = { studyUid: STUDY, seriesUid: `${STUDY}.1`, sopUid: `${STUDY}.1.${number}`, number };
        const patient = { patientId: 'P800', patientName: 'Peer^Paula' };
        writeFileSync(file, ctImage({ ...names, ...patient, side: 16, chance: () => 0.5 }));
        return file;
      });
      const profile = contextProfile(folder.path, '1.2.840.10008.1.2.1', [CT]);
      const sent = await storescu(port, files, profile, { calledAe: 'PEER' });
      expect([...sent.answers.values()]).toEqual(['Success', 'Success', 'Success']);
    });
    afterAll(async () => {
      await stopped(child);
      folder.dispose();
    });

    it('shows patients, studies, series and images', async () => {
      const find = (...args: string[]): Promise<CliResult> => cli(['find', '--at', at, ...args]);
      const studies = await find('PatientName=Peer*');
      expect(studies.output).toMatch(/^2026-01-02 +10:11 +Paula Peer +P800 +1970-01-01 /m);
      expect(studies.output).toContain('1 match');
      expect(studies.code).toBe(0);
      expect((await find('--level', 'patient', 'PatientID=P800')).output).toContain('Paula Peer');
      const study = `StudyInstanceUID=${STUDY}`;
      expect((await find('--level', 'series', study)).output).toMatch(/^ +1 +CT /m);
      const images = ['--level', 'image', study, `SeriesInstanceUID=${STUDY}.1`];
      expect((await find(...images)).output).toContain('3 matches');
      const cut = await find(...images, '--limit', '1');
      expect(cut.output).toContain('1 match; there may be more');
      expect(cut.code).toBe(0);
    });

    it('says so when the AE title is another one', async () => {
      const found = await cli(['find', '--at', at.replace('PEER', 'OTHER'), 'PatientID=P800']);
      expect(found.output).toMatch(/another AE title|does not accept our association/);
      expect(found.code).toBe(1);
    });
  });
}
