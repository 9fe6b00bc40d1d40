/* Memory protection: what memory_map.h does not list does not exist. */
#ifndef MPU_H
#define MPU_H

void mpu_enable(void);

#endif
