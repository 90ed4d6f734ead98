/** A small picture of a study or series; a sign in its place when there is none. Layer: web/worklist. */
import { IconFileText, IconPhotoOff } from '@tabler/icons-react';
import { useState } from 'react';

export function Thumbnail(props: { src: string; size: number; image?: boolean }) {
  const [failed, setFailed] = useState('');
  const style = { width: props.size, height: props.size };
  if (props.image === false || failed === props.src)
    return (
      <span className="thumb" style={style} aria-hidden>
        {props.image === false ? (
          <IconFileText size={props.size / 2} />
        ) : (
          <IconPhotoOff size={props.size / 2} />
        )}
      </span>
    );
  return (
    <img
      className="thumb"
      style={style}
      src={props.src}
      alt=""
      loading="lazy"
      decoding="async"
      onError={() => setFailed(props.src)}
    />
  );
}
