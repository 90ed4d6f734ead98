/** C-FIND as DCMTK's findscu asks it (PS3.4 Annex C): Patient and Study root, every level, every kind of matching. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { contextProfile, run, storescu, temporaryFolder } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';

describeWith(['storescu', 'findscu', 'dcmdump'], 'C-FIND by DCMTK findscu', () => {
  let box: Lightbox;
  const folder = temporaryFolder();
  let queries = 0;

  beforeAll(async () => {
    box = await Lightbox.ready();
    const cookie = await box.signIn('conformance@example.org', 'a long enough passphrase 7');
    const allowed = await box.post(
      '/api/devices',
      { aeTitle: 'FINDER', verbs: ['echo', 'store', 'find'] },
      { cookie },
    );
    expect(allowed.ok, await allowed.clone().text()).toBe(true);
    const files: string[] = [];
    for (const [patient, name] of [
      ['P1', 'Alpha^Anna'],
      ['P2', 'Beta^Bert'],
      ['P3', 'Alphonse^Carl'],
    ] as const) {
      for (let index = 1; index <= 3; index += 1) {
        const file = join(folder.path, `${patient}-${index}.dcm`);
        const studyUid = `1.2.826.0.1.3680043.10.1234.77.${patient.slice(1)}`;
        writeFileSync(
          file,
          ctImage({
            studyUid,
            seriesUid: `${studyUid}.1`,
            sopUid: `${studyUid}.1.${index}`,
            number: index,
            side: 32,
            patientId: patient,
            patientName: name,
            chance: () => 0.5,
          }),
        );
        files.push(file);
      }
    }
    const sent = await storescu(
      box.dicomPort,
      files,
      contextProfile(folder.path, '1.2.840.10008.1.2.1', ['1.2.840.10008.5.1.4.1.1.2']),
    );
    expect([...sent.answers.values()].every((answer) => answer === 'Success')).toBe(true);
  });
  afterAll(async () => {
    folder.dispose();
    await box.stop();
  });

  /** Number of matches and the dump of all of them. */
  async function find(
    root: '-P' | '-S',
    keys: readonly string[],
    callingAe = 'FINDER',
  ): Promise<{ count: number; text: string; output: string }> {
    queries += 1;
    const place = join(folder.path, `answers-${queries}`);
    mkdirSync(place);
    const { output } = await run('findscu', [
      root,
      '-v',
      '-X',
      '-od',
      place,
      '-aet',
      callingAe,
      '-aec',
      'LIGHTBOX',
      ...keys.flatMap((key) => ['-k', key]),
      '127.0.0.1',
      String(box.dicomPort),
    ]);
    const files = readdirSync(place).map((name) => join(place, name));
    const text = files.length > 0 ? (await run('dcmdump', ['+fo', '+U8', ...files])).output : '';
    return { count: files.length, text, output };
  }

  it.each([
    ['universal', ['PatientName'], 3],
    ['single value', ['PatientID=P2'], 1],
    ['single value without match', ['PatientID=P'], 0],
    ['wildcard', ['PatientName=Alph*'], 2],
    ['wildcard in the middle, any case in a name', ['PatientName=*PHON*'], 1],
    ['question mark', ['PatientID=P?'], 3],
    ['date', ['StudyDate=20260102'], 3],
    ['date range', ['StudyDate=20251231-20260103'], 3],
    ['open date range', ['StudyDate=20260103-'], 0],
    ['UID list', ['StudyInstanceUID=1.2.826.0.1.3680043.10.1234.77.1\\1.2.826.0.1.3680043.10.1234.77.3'], 2],
    ['modalities in study', ['ModalitiesInStudy=CT'], 3],
    ['modalities in study without match', ['ModalitiesInStudy=MR'], 0],
  ])('%s matching at study level', async (_, keys, count) => {
    const found = await find('-S', ['QueryRetrieveLevel=STUDY', 'StudyInstanceUID', ...keys]);
    expect(found.count, found.output).toBe(count);
  });

  it('counts series and instances', async () => {
    const found = await find('-S', [
      'QueryRetrieveLevel=STUDY',
      'PatientID=P1',
      'NumberOfStudyRelatedSeries',
      'NumberOfStudyRelatedInstances',
      'ModalitiesInStudy',
    ]);
    expect(found.text).toMatch(/\(0020,1206\) IS \[1 ?\]/);
    expect(found.text).toMatch(/\(0020,1208\) IS \[3 ?\]/);
    expect(found.text).toMatch(/\(0008,0061\) CS \[CT\]/);
  });

  it('answers at patient, series and image level', async () => {
    expect((await find('-P', ['QueryRetrieveLevel=PATIENT', 'PatientID', 'PatientName=A*'])).count).toBe(2);
    const study = 'StudyInstanceUID=1.2.826.0.1.3680043.10.1234.77.1';
    expect(
      (await find('-S', ['QueryRetrieveLevel=SERIES', study, 'SeriesInstanceUID', 'Modality'])).count,
    ).toBe(1);
    expect(
      (
        await find('-S', [
          'QueryRetrieveLevel=IMAGE',
          study,
          'SeriesInstanceUID=1.2.826.0.1.3680043.10.1234.77.1.1',
          'SOPInstanceUID',
          'InstanceNumber',
        ])
      ).count,
    ).toBe(3);
  });

  it('refuses an unknown device and remembers it for the administrator', async () => {
    const refused = await find('-S', ['QueryRetrieveLevel=STUDY', 'PatientID'], 'STRANGER');
    expect(refused.count).toBe(0);
    const cookie = await box.signIn('conformance@example.org', 'a long enough passphrase 7');
    const answer = await fetch(`${box.url}/api/devices/refused`, { headers: { cookie } });
    expect(await answer.text()).toContain('STRANGER');
  });

  it('answers echoscu from loopback', async () => {
    expect(
      (await run('echoscu', ['-aet', 'NEWCOMER', '-aec', 'LIGHTBOX', '127.0.0.1', String(box.dicomPort)]))
        .code,
    ).toBe(0);
  });
});
