/** The forms of the certificates page: make, bring, trust, issue. Layer: web/admin. */
import {
  Alert,
  Anchor,
  Button,
  Code,
  FileButton,
  Group,
  Select,
  Stack,
  TagsInput,
  Textarea,
  TextInput,
} from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState, type FormEvent, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { giveOwn, issue, listLocalAes, makeOwn, trust, type Issued } from '../api/certificates.ts';
import { ProblemAlert } from '../ui/page.tsx';

type Done = () => Promise<void>;

/** Folded away until somebody wants it. */
function Fold(props: { label: string; error: unknown; onSubmit: () => void; children: ReactNode }) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    props.onSubmit();
  };
  return (
    <details>
      <summary style={{ cursor: 'pointer' }}>{props.label}</summary>
      <form onSubmit={submit}>
        <Stack gap="sm" mt="sm" maw={760}>
          {props.children}
          <ProblemAlert error={props.error} />
        </Stack>
      </form>
    </details>
  );
}

function AeSelect({ value, onChange }: { value: string | null; onChange: (value: string | null) => void }) {
  const { t } = useTranslation();
  const aes = useQuery({ queryKey: ['local-aes'], queryFn: listLocalAes });
  return (
    <Select
      label={t('certificates.forAe')}
      placeholder={t('certificates.allAes')}
      data={aes.data?.map((ae) => ae.aeTitle) ?? []}
      value={value}
      onChange={onChange}
      clearable
      clearButtonProps={{ 'aria-label': t('certificates.allAes') }}
    />
  );
}

export function MakeOwnForm({ onDone }: { onDone: Done }) {
  const { t } = useTranslation();
  const [aeTitle, setAeTitle] = useState<string | null>(null);
  const [names, setNames] = useState<string[]>([]);
  const make = useMutation({ mutationFn: () => makeOwn({ aeTitle, names }), onSuccess: onDone });
  return (
    <Fold label={t('certificates.make')} error={make.error} onSubmit={() => make.mutate()}>
      <AeSelect value={aeTitle} onChange={setAeTitle} />
      <TagsInput
        label={t('certificates.names')}
        description={t('certificates.namesHelp')}
        value={names}
        onChange={setNames}
      />
      <Group>
        <Button type="submit" loading={make.isPending} data-testid="certificate-make">
          {t('certificates.makeNow')}
        </Button>
      </Group>
    </Fold>
  );
}

/** Text, pasted or from a file. */
function PemField(props: { label: string; value: string; onChange: (value: string) => void }) {
  const { t } = useTranslation();
  const read = async (file: File | null) => {
    // A PEM file is a few kilobytes; a large one is something else.
    if (file && file.size < 100_000) props.onChange(await file.text());
  };
  return (
    <Group align="flex-end" wrap="nowrap">
      <Textarea
        flex={1}
        label={props.label}
        required
        autosize
        minRows={2}
        maxRows={6}
        maxLength={65_536}
        spellCheck={false}
        styles={{ input: { fontFamily: 'monospace' } }}
        value={props.value}
        onChange={(event) => props.onChange(event.currentTarget.value)}
      />
      <FileButton onChange={(file) => void read(file)} accept=".pem,.crt,.cer,.key">
        {(button) => (
          <Button variant="default" {...button}>
            {t('certificates.file')}
          </Button>
        )}
      </FileButton>
    </Group>
  );
}

export function GiveOwnForm({ onDone }: { onDone: Done }) {
  const { t } = useTranslation();
  const [aeTitle, setAeTitle] = useState<string | null>(null);
  const [certificate, setCertificate] = useState('');
  const [privateKey, setPrivateKey] = useState('');
  const give = useMutation({
    mutationFn: () => giveOwn({ aeTitle, certificate, privateKey }),
    onSuccess: async () => {
      setCertificate('');
      setPrivateKey('');
      await onDone();
    },
  });
  return (
    <Fold label={t('certificates.give')} error={give.error} onSubmit={() => give.mutate()}>
      <AeSelect value={aeTitle} onChange={setAeTitle} />
      <PemField label={t('certificates.chain')} value={certificate} onChange={setCertificate} />
      <PemField label={t('certificates.key')} value={privateKey} onChange={setPrivateKey} />
      <Group>
        <Button type="submit" loading={give.isPending}>
          {t('certificates.use')}
        </Button>
      </Group>
    </Fold>
  );
}

export function TrustForm({ onDone }: { onDone: Done }) {
  const { t } = useTranslation();
  const [label, setLabel] = useState('');
  const [certificate, setCertificate] = useState('');
  const add = useMutation({
    mutationFn: () => trust({ label: label.trim(), certificate }),
    onSuccess: async () => {
      setLabel('');
      setCertificate('');
      await onDone();
    },
  });
  return (
    <Fold label={t('certificates.trust')} error={add.error} onSubmit={() => add.mutate()}>
      <TextInput
        label={t('certificates.label')}
        maxLength={100}
        value={label}
        onChange={(event) => setLabel(event.currentTarget.value)}
      />
      <PemField label={t('certificates.certificate')} value={certificate} onChange={setCertificate} />
      <Group>
        <Button type="submit" loading={add.isPending}>
          {t('certificates.trustNow')}
        </Button>
      </Group>
    </Fold>
  );
}

export function IssueForm() {
  const { t } = useTranslation();
  const [commonName, setCommonName] = useState('');
  const [names, setNames] = useState<string[]>([]);
  const make = useMutation({ mutationFn: () => issue({ commonName, names }) });
  return (
    <Fold label={t('certificates.issue')} error={make.error} onSubmit={() => make.mutate()}>
      <TextInput
        label={t('certificates.commonName')}
        description={t('certificates.commonNameHelp')}
        required
        maxLength={64}
        value={commonName}
        onChange={(event) => setCommonName(event.currentTarget.value)}
      />
      <TagsInput label={t('certificates.names')} value={names} onChange={setNames} />
      <Group>
        <Button type="submit" loading={make.isPending} data-testid="certificate-issue">
          {t('certificates.issueNow')}
        </Button>
      </Group>
      {make.data ? <IssuedFiles issued={make.data} name={commonName} /> : null}
    </Fold>
  );
}

function IssuedFiles({ issued, name }: { issued: Issued; name: string }) {
  const { t } = useTranslation();
  const stem = name.replaceAll(/[^A-Za-z0-9._-]/g, '_');
  const link = (label: string, text: string, file: string) => (
    <Anchor href={`data:application/x-pem-file;base64,${btoa(text)}`} download={file}>
      {label}
    </Anchor>
  );
  return (
    <Alert color="teal" title={t('certificates.once')} data-testid="certificate-issued">
      <Stack gap="xs">
        <Group>
          {link(t('certificates.certificate'), issued.certificate, `${stem}.crt`)}
          {link(t('certificates.key'), issued.privateKey, `${stem}.key`)}
          {link(t('certificates.authority'), issued.authority, 'lightbox-ca.crt')}
        </Group>
        <Code style={{ overflowWrap: 'anywhere' }}>{issued.fingerprint}</Code>
      </Stack>
    </Alert>
  );
}
