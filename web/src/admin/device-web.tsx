/** The part of the device form about its DICOMweb service: where it is, and how it knows us. Layer: web/admin. */
import { Fieldset, PasswordInput, Select, Stack, TextInput } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { DeviceDraft } from '../api/admin.ts';

type Web = NonNullable<DeviceDraft['dicomweb']>;
const AUTHS = ['none', 'basic', 'bearer'] as const;

/** @param props.hasSecret  A password or token is kept; it is not shown, and stays unless another is entered. */
export function DeviceWeb(props: {
  draft: DeviceDraft;
  hasSecret: boolean;
  onChange: (patch: Partial<DeviceDraft>) => void;
}) {
  const { t } = useTranslation();
  const web = props.draft.dicomweb;
  const set = (patch: Partial<Web>) =>
    props.onChange({ dicomweb: { url: '', auth: 'none', user: '', ...web, ...patch } });
  const secret = (value: string) => {
    const { secret: _, ...kept } = { url: '', auth: 'none', user: '', ...web } satisfies Web;
    props.onChange({ dicomweb: { ...kept, ...(value === '' ? {} : { secret: value }) } });
  };
  return (
    <Fieldset legend={t('devices.web')}>
      <Stack>
        <TextInput
          label={t('devices.webUrl')}
          description={t('devices.webUrlHint')}
          placeholder="https://pacs.example.org/dicom-web"
          type="url"
          maxLength={1000}
          value={web?.url ?? ''}
          onChange={(event) => {
            const url = event.currentTarget.value.trim();
            if (url === '') props.onChange({ dicomweb: null });
            else set({ url });
          }}
        />
        {web ? (
          <Select
            label={t('devices.webAuth')}
            data={AUTHS.map((value) => ({ value, label: t(`devices.webAuthBy.${value}`) }))}
            allowDeselect={false}
            value={web.auth}
            onChange={(auth) => set({ auth: AUTHS.find((one) => one === auth) ?? 'none' })}
          />
        ) : null}
        {web?.auth === 'basic' ? (
          <TextInput
            label={t('devices.webUser')}
            required
            maxLength={200}
            autoComplete="off"
            value={web.user}
            onChange={(event) => set({ user: event.currentTarget.value })}
          />
        ) : null}
        {web && web.auth !== 'none' ? (
          <PasswordInput
            label={t(web.auth === 'basic' ? 'devices.webPassword' : 'devices.webToken')}
            description={props.hasSecret ? t('devices.webKept') : undefined}
            required={!props.hasSecret}
            maxLength={8192}
            autoComplete="new-password"
            visibilityToggleButtonProps={{ 'aria-label': t('devices.webShow') }}
            value={web.secret ?? ''}
            onChange={(event) => secret(event.currentTarget.value)}
          />
        ) : null}
      </Stack>
    </Fieldset>
  );
}
