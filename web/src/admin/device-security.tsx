/** The part of the device form about who is really there: TLS, certificate, user, which of our AE titles. Layer: web/admin. */
import { Checkbox, Fieldset, MultiSelect, Select, Stack, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { listCertificates, listLocalAes } from '../api/certificates.ts';
import type { DeviceDraft } from '../api/admin.ts';

type Bound = DeviceDraft['certificate'];

export function DeviceSecurity(props: {
  draft: DeviceDraft;
  onChange: (patch: Partial<DeviceDraft>) => void;
}) {
  const { t } = useTranslation();
  const { draft, onChange } = props;
  const aes = useQuery({ queryKey: ['local-aes'], queryFn: listLocalAes });
  const titles = new Set([...(aes.data?.map((ae) => ae.aeTitle) ?? []), ...draft.calledAes]);
  return (
    <Fieldset legend={t('devices.security')}>
      <Stack>
        <Checkbox
          label={t('devices.tls')}
          checked={draft.tls}
          onChange={(event) => onChange({ tls: event.currentTarget.checked })}
        />
        <Checkbox
          label={t('devices.tlsOnly')}
          description={draft.certificate ? t('devices.tlsImplied') : undefined}
          disabled={draft.certificate !== null}
          checked={draft.tlsOnly || draft.certificate !== null}
          onChange={(event) => onChange({ tlsOnly: event.currentTarget.checked })}
        />
        <CertificateFields bound={draft.certificate} onChange={(certificate) => onChange({ certificate })} />
        <Select
          label={t('devices.identity')}
          data={(['optional', 'named', 'verified'] as const).map((value) => ({
            value,
            label: t(`devices.identityOf.${value}`),
          }))}
          allowDeselect={false}
          value={draft.identity}
          onChange={(value) => onChange({ identity: (value ?? 'optional') as DeviceDraft['identity'] })}
        />
        {titles.size > 1 || draft.calledAes.length > 0 ? (
          <MultiSelect
            label={t('devices.calledAes')}
            placeholder={draft.calledAes.length ? undefined : t('devices.calledAny')}
            data={[...titles]}
            value={draft.calledAes}
            onChange={(calledAes) => onChange({ calledAes })}
          />
        ) : null}
      </Stack>
    </Fieldset>
  );
}

function CertificateFields({ bound, onChange }: { bound: Bound; onChange: (bound: Bound) => void }) {
  const { t } = useTranslation();
  const query = useQuery({ queryKey: ['certificates'], queryFn: listCertificates });
  const authorities =
    query.data?.certificates.filter(({ role, authority }) => role !== 'own' && authority) ?? [];
  const choose = (by: string | null) => {
    if (by === 'fingerprint') onChange({ by, fingerprint: '' });
    else if (by === 'subject') onChange({ by, subject: '', authority: authorities[0]?.fingerprint ?? '' });
    else onChange(null);
  };
  return (
    <>
      <Select
        label={t('devices.certificate')}
        data={(['any', 'fingerprint', 'subject'] as const).map((value) => ({
          value,
          label: t(`devices.certificateBy.${value}`),
        }))}
        allowDeselect={false}
        value={bound?.by ?? 'any'}
        onChange={choose}
      />
      {bound?.by === 'fingerprint' ? (
        <TextInput
          label={t('devices.fingerprint')}
          required
          maxLength={100}
          value={bound.fingerprint}
          onChange={(event) => onChange({ ...bound, fingerprint: event.currentTarget.value.trim() })}
        />
      ) : null}
      {bound?.by === 'subject' ? (
        <>
          <TextInput
            label={t('devices.subject')}
            placeholder="CN=CT1, O=Lightbox"
            required
            maxLength={500}
            value={bound.subject}
            onChange={(event) => onChange({ ...bound, subject: event.currentTarget.value })}
          />
          <Select
            label={t('devices.authority')}
            required
            data={authorities.map(({ fingerprint, label }) => ({ value: fingerprint, label }))}
            value={bound.authority || null}
            onChange={(authority) => onChange({ ...bound, authority: authority ?? '' })}
          />
        </>
      ) : null}
    </>
  );
}
